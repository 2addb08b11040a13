//! Logistic regression on frozen features, computed to its optimum (Alain and Bengio 2016,
//! arXiv:1610.01644; as in CLIP's evaluation, Radford et al. 2021, arXiv:2103.00020, appendix A.3).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::check;
use super::during_training::NoDynamics;
use super::spec::{AdapterMaker, Context, Learning, NoAdapter, Place, Spec};
use crate::error::MethodError;
use crate::fit::{
    CrossValidation, Examples, Findings, Fit, FitTask, Fitted, Limits, Regression, Scaling, folds,
    search,
};
use crate::hf_peft::HfPeft;
use crate::inspect::paths::Field;
use crate::inspect::{Layer, ParamInfo};
use crate::state::{TrainedTensor, Values};

/// Largest entry of the gradient of the mean loss at the optimum.
const TOLERANCE: f64 = 1e-10;

/// The most iterations: the precision of the weights, which are `f32`, is reached long before.
const ITERATIONS: usize = 10_000;

/// `C` if it cannot be chosen: scikit-learn's default.
const C: f64 = 1.0;

/// Settings of `probe`.
///
/// The head becomes the optimum of multinomial logistic regression with L2 regularisation on the features
/// before it: the weights `W` minimise `C·Σᵢ ℓᵢ + ‖W‖²/2` over the losses `ℓᵢ` of the training images, as
/// scikit-learn's `LogisticRegression(C=…)` on features that `StandardScaler` has standardised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProbeConfig {
    /// The inverse strength of the regularisation. `None` chooses it from 10⁻⁶ to 10⁶ by cross-validation
    /// on the training images: the value with the lowest cross-entropy of those that are held out.
    pub c: Option<f64>,
    /// Number of folds of the cross-validation; there are no more than images of the class with the most.
    pub folds: usize,
    /// Whether each feature is shifted and scaled to the mean 0 and the variance 1, so that the
    /// regularisation is the same for features of large and of small values.
    pub standardize: bool,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            c: None,
            folds: 5,
            standardize: true,
        }
    }
}

impl Spec for ProbeConfig {
    type Adapter = NoAdapter;
    type Dynamics = NoDynamics;

    const PLACE: Place = Place::Nowhere;
    const FREEZES_BASE: bool = true;
    const MERGES: bool = true;
    const NEEDS_GRADIENTS: bool = false;
    const LEARNING: Learning<Self> = Learning::FromFeatures(|config, seed| {
        Arc::new(Probe {
            config: config.clone(),
            seed,
        })
    });
    const HF_PEFT: HfPeft<Self, NoAdapter> = HfPeft::Nothing;

    fn check(&self, _layers: &[&Layer]) -> Result<(), MethodError> {
        check::positive("c", self.c.unwrap_or(C))?;
        if !(2..=100).contains(&self.folds) {
            return Err(check::setting("folds", self.folds, "from 2 to 100"));
        }
        Ok(())
    }

    fn maker<'a>(&self, _context: &Context<'a>) -> Result<AdapterMaker<'a, Self>, MethodError> {
        Ok(None)
    }

    fn dynamics(&self, _seed: u64) -> Option<NoDynamics> {
        None
    }

    fn trained_beside(&self, _parameter: &ParamInfo, _adapted: &[&Layer]) -> bool {
        false
    }

    fn faster(&self) -> Option<(f64, Field<'static>)> {
        None
    }

    /// 0.
    fn parameters_of(&self, _layer: &Layer) -> usize {
        0
    }
}

/// The settings, and the seed of the folds.
#[derive(Debug)]
struct Probe {
    config: ProbeConfig,
    seed: u64,
}

impl Fit for Probe {
    fn plan(&self) -> String {
        match self.config.c {
            Some(c) => format!("logistic regression with C {c}"),
            None => format!(
                "logistic regression, C chosen by {}-fold cross-validation",
                self.config.folds
            ),
        }
    }

    /// One image is enough.
    fn check(&self, _images: usize) -> Result<(), MethodError> {
        Ok(())
    }

    fn fit(&self, examples: &Examples, task: &FitTask<'_>) -> Result<Fitted, MethodError> {
        let scaling = if self.config.standardize {
            Scaling::standard(examples)
        } else {
            Scaling::none(examples.width)
        };
        let features = scaling.applied(examples);
        let regression = Regression::new(&features, &examples.labels, examples.classes);
        let weight = |label: &usize| task.class_weights.get(*label).copied().unwrap_or(1.0);
        let shares: Vec<f64> = examples.labels.iter().map(weight).collect();
        let (c, mut found) = self.chosen(examples, &regression, &shares, task)?;
        let limits = Limits {
            tolerance: TOLERANCE,
            iterations: ITERATIONS,
            stop: task.stop,
        };
        let minimum = regression.fit(c, &shares, regression.zeros(), &limits);
        let minimum = minimum.ok_or(MethodError::Stopped)?;
        let mut iterations = minimum.iterations.to_string();
        if minimum.gradient > TOLERANCE {
            // Where the precision of `f64` ends, or so many iterations.
            iterations = format!("{iterations}, gradient {:.0e}", minimum.gradient);
        }
        found.push(("iterations", iterations));
        let (weights, biases) = regression.parts(&minimum.x);
        let (weights, biases) = scaling.unscaled(weights, biases);
        Ok(Fitted {
            tensors: head(task.head, &weights, &biases),
            found,
        })
    }
}

impl Probe {
    /// The value of `C`, and what was found out about it.
    fn chosen(
        &self,
        examples: &Examples,
        regression: &Regression<'_>,
        shares: &[f64],
        task: &FitTask<'_>,
    ) -> Result<(f64, Findings), MethodError> {
        if let Some(c) = self.config.c {
            return Ok((c, Vec::new()));
        }
        let (count, held_out) = folds(examples, self.config.folds, self.seed);
        if count == 0 {
            let why = format!("{C}, as no class has two images to choose by");
            return Ok((C, vec![("c", why)]));
        }
        let folds = (count, held_out.as_slice());
        let labels = &examples.labels;
        let mut validation = CrossValidation::new(regression, labels, shares, folds, task.stop);
        let best = search(|c| validation.score(c));
        let (c, score) = best.ok_or(MethodError::Stopped)?;
        let shown = format!("{c:.2e}").parse().unwrap_or(c);
        Ok((
            c,
            vec![
                ("c", f64::to_string(&shown)),
                (
                    "cross-validation",
                    format!("{} in {count} folds", score.percent()),
                ),
            ],
        ))
    }
}

/// The tensors of a Linear head with weights `[classes, width]`, which Burn stores as `[width, classes]`.
#[allow(clippy::cast_possible_truncation)]
fn head(path: &str, weights: &[f64], biases: &[f64]) -> Vec<TrainedTensor> {
    let classes = biases.len();
    let width = weights.len() / classes.max(1);
    let transposed = (0..width).flat_map(|feature| {
        let of_class = move |class: usize| weights[class * width + feature] as f32;
        (0..classes).map(of_class)
    });
    let tensor = |name: &str, shape: Vec<usize>, values: Vec<f32>| TrainedTensor {
        path: format!("{path}.{name}"),
        shape,
        values: Values::Floats(values.into()),
    };
    vec![
        tensor("weight", vec![width, classes], transposed.collect()),
        tensor(
            "bias",
            vec![classes],
            biases.iter().map(|bias| *bias as f32).collect(),
        ),
    ]
}
