//! Methods that are computed at once from the features of all training images before the head, instead of
//! in training steps: the mathematics of `knn` and `probe`.

mod examples;
mod folds;
mod lbfgs;
mod logistic;
mod score;
mod search;
mod votes;

use std::fmt::Debug;

pub use examples::Examples;
pub(crate) use examples::Scaling;
pub(crate) use folds::folds;
pub(crate) use lbfgs::Limits;
pub(crate) use logistic::Regression;
pub(crate) use search::{CrossValidation, search};
pub(crate) use votes::{Vote, leave_one_out, nearest, normalized};

use crate::error::MethodError;
use crate::state::TrainedTensor;

/// Computes what a method learns from the features of all training images.
///
/// [`Adapted::fit`](crate::Adapted::fit) returns it, [`load`](crate::load) puts the tensors that it
/// computes into the model:
///
/// ```
/// use burn::{Tensor, module::Module, nn::{Linear, LinearConfig}, tensor::Device};
/// use finetune_methods::fit::{Examples, FitTask};
/// use finetune_methods::{Method, Scope, Targets, linear, load};
///
/// #[derive(Module, Debug)]
/// struct Net { head: Linear }
///
/// let device = Device::flex();
/// let net = Net { head: LinearConfig::new(2, 2).init(&device) };
/// let targets = Targets::all();
/// let knn = finetune_methods::catalogue::KnnConfig { k: Some(1), ..Default::default() };
/// let attached = Method::Knn(knn).attach(net, &Scope::new("head", &targets, 0))?;
/// let fit = attached.fit().cloned();
/// let examples = Examples {
///     features: vec![3.0, 0.1, 0.2, 1.0], // two images of two features each
///     width: 2,
///     labels: vec![1, 0],
///     classes: 2,
/// };
/// let fitted = fit.map(|fit| fit.fit(&examples, &FitTask::new("head"))).transpose()?;
/// let tensors = fitted.map_or_else(Vec::new, |fitted| fitted.tensors);
/// let net = load(attached.into_parts().model, tensors)?;
/// let logits = linear(&net.head, Tensor::<2>::from_floats([[9.0, 1.0]], &device));
/// assert_eq!(logits.argmax(1).into_scalar::<i32>(), 1);
/// # Ok::<(), finetune_methods::MethodError>(())
/// ```
pub trait Fit: Debug + Send + Sync {
    /// What is going to be computed, in a few words.
    fn plan(&self) -> String;

    /// Checks the settings for so many training images, before their features are computed.
    ///
    /// # Errors
    ///
    /// [`MethodError::TooFewImages`] if a setting needs more images.
    fn check(&self, images: usize) -> Result<(), MethodError>;

    /// Computes it.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check), and [`MethodError::Stopped`].
    fn fit(&self, examples: &Examples, task: &FitTask<'_>) -> Result<Fitted, MethodError>;
}

/// What a fit is for.
#[derive(Clone, Copy)]
pub struct FitTask<'a> {
    /// Path of the model's head.
    pub head: &'a str,
    /// How much an image of each class counts in a loss; all count 1 if there are none.
    pub class_weights: &'a [f64],
    /// Asked again and again whether to stop.
    pub stop: &'a dyn Fn() -> bool,
}

impl<'a> FitTask<'a> {
    /// A fit of this head in which all images count the same, and which is not stopped.
    #[must_use]
    pub fn new(head: &'a str) -> Self {
        Self {
            head,
            class_weights: &[],
            stop: &|| false,
        }
    }
}

impl Debug for FitTask<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("FitTask")
            .field("head", &self.head)
            .field("class_weights", &self.class_weights)
            .finish_non_exhaustive()
    }
}

/// What a fit computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The tensors of the model that are new, for [`load`](crate::load).
    pub tensors: Vec<TrainedTensor>,
    /// What it found out.
    pub found: Findings,
}

/// What a fit found out, by name, for people to read: settings that it chose, and how well images were
/// classified that it left out for that.
pub type Findings = Vec<(&'static str, String)>;
