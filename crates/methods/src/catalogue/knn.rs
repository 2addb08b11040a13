//! Nearest neighbours on frozen features, as in DINO's evaluation (Caron et al. 2021, arXiv:2104.14294,
//! section 4.1).

use std::sync::Arc;

use burn::Tensor;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::check;
use super::during_training::NoDynamics;
use super::spec::{AdapterMaker, Context, Learning, Place, Spec};
use crate::adapters::Neighbours;
use crate::attach::{Made, Maker};
use crate::error::MethodError;
use crate::fit::{Examples, Findings, Fit, FitTask, Fitted, Vote, leave_one_out, normalized};
use crate::hf_peft::HfPeft;
use crate::inspect::paths::{ADAPTER, Field};
use crate::inspect::{Layer, ParamInfo};
use crate::state::{TrainedTensor, Values};

/// Numbers of neighbours to choose among.
const COUNTS: [usize; 6] = [1, 3, 5, 10, 20, 50];

/// Settings of `knn`.
///
/// The `k` training images whose features before the head have the largest cosine similarity `s` vote for
/// the class of an image; each has `exp(s / temperature)` votes. Nothing trains: what is stored are the
/// features and classes of all training images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KnnConfig {
    /// Number of neighbours that vote. `None` chooses 1, 3, 5, 10, 20 or 50 by leave-one-out: the number
    /// with which most training images are classified correctly by the others.
    pub k: Option<usize>,
    /// Temperature of the votes.
    pub temperature: f64,
}

impl Default for KnnConfig {
    fn default() -> Self {
        Self {
            k: None,
            temperature: 0.07,
        }
    }
}

impl Spec for KnnConfig {
    type Adapter = Neighbours;
    type Dynamics = NoDynamics;

    const PLACE: Place = Place::Head;
    const FREEZES_BASE: bool = true;
    const MERGES: bool = false;
    const NEEDS_GRADIENTS: bool = false;
    const LEARNING: Learning<Self> = Learning::FromFeatures(|config, _| Arc::new(config.clone()));
    const HF_PEFT: HfPeft<Self, Neighbours> = HfPeft::Nothing;

    fn check(&self, _layers: &[&Layer]) -> Result<(), MethodError> {
        check::count("k", self.k.unwrap_or(1))?;
        check::positive("temperature", self.temperature)
    }

    fn maker<'a>(&self, context: &Context<'a>) -> Result<AdapterMaker<'a, Self>, MethodError> {
        Ok(Some(Box::new(KnnMaker {
            config: self.clone(),
            device: context.device.clone(),
        })))
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

struct KnnMaker {
    config: KnnConfig,
    device: Device,
}

impl Maker<Neighbours> for KnnMaker {
    fn make(&mut self, layer: &Layer, _base: Tensor<2>) -> Made<Neighbours> {
        let vote = self.config.vote(layer.shape.outputs);
        Made::from(Neighbours::none(layer.shape.inputs, vote, &self.device))
    }
}

/// A number of neighbours, and what was found out about it.
struct Chosen {
    k: usize,
    found: Findings,
}

impl KnnConfig {
    fn vote(&self, classes: usize) -> Vote {
        Vote {
            classes,
            temperature: self.temperature,
        }
    }

    /// The number of neighbours that vote.
    fn chosen(
        &self,
        examples: &Examples,
        index: &[f32],
        task: &FitTask<'_>,
    ) -> Result<Chosen, MethodError> {
        let images = examples.len();
        Fit::check(self, images)?;
        if let Some(k) = self.k {
            return Ok(Chosen {
                k,
                found: Vec::new(),
            });
        }
        if examples.per_class().into_iter().all(|images| images < 2) {
            // Whatever the number, no image is classified correctly by the others.
            return Ok(Chosen {
                k: 1,
                found: vec![("k", "1, as no class has two images to choose by".to_owned())],
            });
        }
        // One image is left out.
        let counts = COUNTS.into_iter().filter(|count| *count < images);
        let counts: Vec<usize> = counts.collect();
        let vote = self.vote(examples.classes);
        let scores = leave_one_out(examples, index, vote, &counts, task.stop);
        let scores = scores.ok_or(MethodError::Stopped)?;
        let both = counts.into_iter().zip(scores);
        // Of equally good numbers the smallest.
        let best = both.reduce(|best, next| if next.1.beats(&best.1) { next } else { best });
        let mut found = Vec::new();
        let mut k = 1;
        if let Some((count, score)) = best {
            k = count;
            found = vec![("k", k.to_string()), ("leave-one-out", score.percent())];
        }
        Ok(Chosen { k, found })
    }
}

impl Fit for KnnConfig {
    fn plan(&self) -> String {
        match self.k {
            Some(1) => "the nearest training image".to_owned(),
            Some(k) => format!("the {k} nearest training images vote"),
            None => {
                "the nearest training images vote, their number chosen by leave-one-out".to_owned()
            }
        }
    }

    fn check(&self, images: usize) -> Result<(), MethodError> {
        let (setting, value) = ("knn.k", self.k.unwrap_or(1));
        if value > images {
            return Err(MethodError::TooFewImages {
                setting,
                value,
                images,
            });
        }
        Ok(())
    }

    fn fit(&self, examples: &Examples, task: &FitTask<'_>) -> Result<Fitted, MethodError> {
        let index = normalized(&examples.features, examples.width);
        let Chosen { k, found } = self.chosen(examples, &index, task)?;
        let tensor = |field: Field<'_>, shape: Vec<usize>, values| TrainedTensor {
            path: format!("{}.weight{ADAPTER}{}", task.head, field.name),
            shape,
            values,
        };
        let images = examples.len();
        let places = |numbers: &[usize]| {
            let places = numbers.iter().map(|number| u32::try_from(*number));
            Values::Indices(places.map(|place| place.unwrap_or(u32::MAX)).collect())
        };
        let tensors = vec![
            tensor(
                Neighbours::INDEX,
                vec![images, examples.width],
                Values::Floats(index.into()),
            ),
            tensor(Neighbours::LABELS, vec![images], places(&examples.labels)),
            tensor(Neighbours::VOTING, vec![1], places(&[k])),
        ];
        Ok(Fitted { tensors, found })
    }
}
