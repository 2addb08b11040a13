//! All that changes while a model trains.

use finetune_methods::attach::Parts;
use finetune_methods::{Adapted, Dynamics, load, parameters, trained};

use crate::best::Best;
use crate::checkpoint::Progress;
use crate::classifier::Classifier;
use crate::ema::Ema;
use crate::error::TrainingError;
use crate::features::KeptFeatures;
use crate::groups::Groups;
use crate::observer::Epoch;
use crate::optimizer::ModelOptimizer;
use crate::recipe::{Keep, Recipe};
use crate::train::Trained;

/// All that changes while a model trains.
pub(crate) struct Run<M> {
    pub(crate) model: M,
    pub(crate) optimizer: ModelOptimizer,
    pub(crate) groups: Groups,
    pub(crate) dynamics: Option<Dynamics>,
    pub(crate) ema: Option<Ema>,
    pub(crate) best: Option<Best>,
    pub(crate) progress: Progress,
}

impl<M: Classifier> Run<M> {
    /// Before the first of `steps` steps.
    pub(crate) fn new(attached: Adapted<M>, recipe: &Recipe, steps: usize) -> Self {
        let Parts {
            model,
            mut dynamics,
            faster,
            head,
        } = attached.into_parts();
        if let Some(dynamics) = &mut dynamics {
            dynamics.start(steps);
        }
        Self {
            optimizer: ModelOptimizer::new(recipe.optimizer),
            groups: Groups::new(recipe, &parameters(&model), &head, faster.as_ref()),
            ema: recipe.ema.map(|decay| Ema::new(decay, &model)),
            model,
            dynamics,
            best: None,
            progress: Progress::default(),
        }
    }

    /// The step that comes next, from 1.
    pub(crate) fn step(&self) -> usize {
        self.progress.step_seconds.len() + 1
    }

    /// The model that is tested and kept.
    pub(crate) fn shown(&self) -> M {
        match &self.ema {
            Some(ema) => ema.on(self.model.clone()),
            None => self.model.clone(),
        }
    }

    /// Adds an epoch, and keeps its weights where they are the best so far.
    pub(crate) fn record(&mut self, epoch: Epoch, recipe: &Recipe) {
        let best = self.best.as_ref();
        if recipe.needs_validation() && Best::is_beaten(best, &self.progress.epochs, &epoch) {
            self.best = Some(Best {
                epoch: epoch.epoch,
                tensors: trained(&self.shown()),
            });
        }
        self.progress.epochs.push(epoch);
    }

    /// The best epoch, where those after it used up the patience.
    pub(crate) fn patience_is_over(&self, recipe: &Recipe) -> Option<usize> {
        let best = self.best.as_ref()?.epoch;
        (self.progress.epochs.len() - best >= recipe.patience?).then_some(best)
    }

    /// What the run leaves.
    pub(crate) fn finish(
        self,
        recipe: &Recipe,
        stopped: bool,
        features: Option<KeptFeatures>,
    ) -> Result<Trained<M>, TrainingError> {
        let mut model = self.shown();
        let last = self.progress.epochs.len();
        let best = self
            .best
            .filter(|best| recipe.keep == Keep::Best && best.epoch < last);
        let epoch = best.as_ref().map(|best| best.epoch);
        if let Some(best) = best {
            model = load(model, best.tensors)
                .map_err(|error| TrainingError::Checkpoint(error.to_string()))?;
        }
        Ok(Trained {
            model,
            best: epoch,
            epochs: self.progress.epochs,
            step_seconds: self.progress.step_seconds,
            seconds: self.progress.seconds,
            stopped,
            features,
        })
    }
}
