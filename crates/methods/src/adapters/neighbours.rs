//! Nearest neighbours in place of a head.

use burn::Tensor;
use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, Int, TensorData};

use super::change::Change;
use super::site::Site;
use crate::fit::{Vote, nearest};
use crate::inspect::paths::Field;

/// The features of labelled images, the most similar of which vote for the class of another image.
///
/// A head that carries them returns logarithms of the shares of the votes, whatever its own weights are. As
/// long as no image is known, it returns its own logits. They cannot be merged.
#[derive(Module, Debug)]
pub struct Neighbours {
    /// The features, `[images, width]`, as rows of length 1.
    pub index: Param<Tensor<2>>,
    /// The class of each image, `[images]`.
    pub labels: Param<Tensor<1, Int>>,
    /// How many of them vote, `[1]`; 0 if none is known.
    pub voting: Param<Tensor<1, Int>>,
    /// How similar the most influential ones must be: a vote counts `exp(similarity / temperature)`.
    #[module(skip)]
    pub temperature: f64,
    /// The number of classes.
    #[module(skip)]
    pub classes: usize,
}

impl Neighbours {
    pub(crate) const INDEX: Field<'static> = Field::new("Neighbours", "index");
    pub(crate) const LABELS: Field<'static> = Field::new("Neighbours", "labels");
    pub(crate) const VOTING: Field<'static> = Field::new("Neighbours", "voting");

    /// No known images yet, for features of this width.
    pub(crate) fn none(width: usize, vote: Vote, device: &Device) -> Self {
        let zero = || Tensor::<1, Int>::from_data(TensorData::new(vec![0_i64], [1]), device);
        Self {
            // No backend likes a tensor without values.
            index: Param::initialized(ParamId::new(), Tensor::zeros([1, width], device)),
            labels: Param::initialized(ParamId::new(), zero()),
            voting: Param::initialized(ParamId::new(), zero()),
            temperature: vote.temperature,
            classes: vote.classes,
        }
    }

    /// The logits `[images, classes]` of features `[images, width]`.
    #[allow(clippy::cast_possible_truncation)]
    fn logits(&self, features: Tensor<2>, voting: usize) -> Tensor<2> {
        let device = features.device();
        let images = features.dims()[0];
        let lengths = features.clone().square().sum_dim(1).sqrt();
        let rows = features / lengths.clamp_min(f32::MIN_POSITIVE);
        let similarities = rows.matmul(self.index.val().transpose()).into_data();
        let similarities: Vec<f64> = similarities.iter::<f64>().collect();
        // They come from a file: there may be fewer of them than images, and classes that there are not.
        let labels: Vec<usize> = (self.labels.val().into_data().iter::<i64>())
            .map(|label| usize::try_from(label).unwrap_or(usize::MAX))
            .collect();
        let known = self.index.dims()[0];
        let vote = Vote {
            classes: self.classes,
            temperature: self.temperature,
        };
        let mut logits = Vec::with_capacity(images * self.classes);
        for row in similarities.chunks_exact(known.max(1)) {
            let neighbours = nearest(row.iter().copied(), voting).into_iter();
            let label = |image: usize| labels.get(image).copied().unwrap_or(usize::MAX);
            let neighbours = neighbours.map(|(image, similarity)| (label(image), similarity));
            let row = vote.logarithms(&neighbours.collect::<Vec<_>>());
            logits.extend(row.into_iter().map(|value| value as f32));
        }
        Tensor::from_data(TensorData::new(logits, [images, self.classes]), &device)
    }
}

impl Change for Neighbours {
    const MERGES: bool = false;

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        base
    }

    fn forward<const D: usize>(&self, site: &impl Site<D>, x: Tensor<D>) -> Tensor<D> {
        let voting = self.voting.val().into_data().iter::<i64>().next();
        let voting = usize::try_from(voting.unwrap_or(0)).unwrap_or(0);
        if voting == 0 {
            return site.changed(x);
        }
        let mut shape = x.dims();
        let images: usize = shape[..D - 1].iter().product();
        let logits = self.logits(x.detach().reshape([images, shape[D - 1]]), voting);
        shape[D - 1] = self.classes;
        logits.reshape(shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::paths::assert_fields;

    #[test]
    fn the_constants_are_the_names_of_the_fields() {
        let vote = Vote {
            classes: 2,
            temperature: 0.07,
        };
        let none = Neighbours::none(3, vote, &Device::flex());
        let fields = [Neighbours::INDEX, Neighbours::LABELS, Neighbours::VOTING];
        assert_fields(&none, &fields);
    }
}
