//! The network of `fixtures/hf_peft.py`.

use burn::Tensor;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::Device;
use burn::tensor::activation::relu;
use finetune_methods::{conv2d, linear};

#[derive(Module, Debug)]
pub struct Net {
    pub conv: Conv2d,
    pub grouped: Conv2d,
    pub norm: BatchNorm,
    pub hidden: Linear,
    pub head: Linear,
}

impl Net {
    pub fn new(device: &Device) -> Self {
        let conv = |channels, kernel| Conv2dConfig::new(channels, kernel);
        let padding = |rows, columns| PaddingConfig2d::Explicit(rows, columns, rows, columns);
        Net {
            conv: conv([4, 6], [3, 3])
                .with_stride([2, 2])
                .with_padding(padding(1, 1))
                .init(device),
            grouped: conv([6, 8], [3, 1])
                .with_groups(2)
                .with_padding(padding(1, 1))
                .init(device),
            norm: BatchNormConfig::new(8).init(device),
            hidden: LinearConfig::new(8, 7).init(device),
            head: LinearConfig::new(7, 3).init(device),
        }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = relu(conv2d(&self.conv, x));
        let x = self.norm.forward(conv2d(&self.grouped, x));
        let [batch, channels, height, width] = x.dims();
        let x = x.reshape([batch, channels, height * width]).mean_dim(2);
        let x = x.reshape([batch, channels]);
        linear(&self.head, relu(linear(&self.hidden, x)))
    }
}
