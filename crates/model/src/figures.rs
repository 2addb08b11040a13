//! How large a network is, and how much it computes.

use burn::Tensor;
use burn::tensor::Device;
use finetune_kernels::counted::{Work, count};
use finetune_methods::parameters_lazily;

use crate::networks::Architecture;

/// Figures of a network without its head, whose size depends on the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Number of parameters; running statistics do not count.
    pub parameters: usize,
    /// Multiply-accumulates of the products of a forward pass (convolutions, linear layers, attention) for
    /// one image of the architecture's size. A FLOP counter counts each as two.
    pub multiply_accumulates: u64,
    /// Values that these products give for one image.
    pub outputs: u64,
}

impl Figures {
    /// The figures of several architectures, in their order; counted by several threads.
    #[must_use]
    pub fn of_all(architectures: &[&Architecture]) -> Vec<Self> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        // Large ones stand beside each other: each thread takes one of each neighbourhood.
        let count = |first: usize| -> Vec<Self> {
            let mine = architectures.iter().skip(first).step_by(threads);
            mine.map(|one| Self::of(one)).collect()
        };
        let counted: Vec<Vec<Self>> = std::thread::scope(|scope| {
            let started: Vec<_> = (0..threads)
                .map(|first| scope.spawn(move || count(first)))
                .collect();
            let joined = started.into_iter().map(|thread| match thread.join() {
                Ok(figures) => figures,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            joined.collect()
        });
        let at = |index: usize| counted[index % threads][index / threads];
        (0..architectures.len()).map(at).collect()
    }

    /// Counts them: layers by their shapes, and their positions by a forward pass that computes no products.
    /// No weights are made.
    #[must_use]
    pub fn of(architecture: &Architecture) -> Self {
        let device = Device::flex();
        let network = architecture.uninitialized(1, &device);
        let (mut parameters, mut head) = (0, 0);
        for param in parameters_lazily(&network) {
            let size = param.shape.iter().product::<usize>();
            let in_head = param.path.strip_prefix(architecture.head);
            match in_head.filter(|rest| rest.starts_with('.')) {
                Some(rest) if rest.ends_with(".weight") => head += size,
                Some(_) => {}
                None if param.buffer => {}
                None => parameters += size,
            }
        }
        let side = architecture.image_size;
        let images = Tensor::zeros([1, 3, side, side], &device);
        let (_, work) = count(|| network.forward(images));
        let Work {
            multiply_accumulates,
            outputs,
        } = work;
        Self {
            parameters,
            // The head for one class, once per image.
            multiply_accumulates: multiply_accumulates - head as u64,
            outputs: outputs - 1,
        }
    }
}
