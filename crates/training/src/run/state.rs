//! Everything that changes during a run.

use finetune_methods::attach::Parts;
use finetune_methods::{Adapted, Dynamics, load, parameters, trained};
use finetune_model::Staged;

use super::best::Best;
use super::progress::Progress;
use super::record::Epoch;
use super::trained::Trained;
use crate::classifier::Classifier;
use crate::error::TrainingError;
use crate::features::CachedFeatures;
use crate::recipe::{Recipe, Select};
use crate::step::{Ema, Groups, ModelOptimizer};

/// Everything that changes during a run.
pub(super) struct RunState<M> {
    pub(super) model: M,
    pub(super) optimizer: ModelOptimizer,
    pub(super) groups: Groups,
    pub(super) dynamics: Option<Dynamics>,
    pub(super) ema: Option<Ema>,
    pub(super) best: Option<Best>,
    pub(super) progress: Progress,
}

impl<M: Classifier> RunState<M> {
    /// The state before the first of `steps` steps.
    pub(super) fn new(attached: Adapted<M>, recipe: &Recipe, steps: usize) -> Self {
        let Parts {
            model,
            mut dynamics,
            faster,
            head,
            fit: _,
        } = attached.into_parts();
        if let Some(dynamics) = &mut dynamics {
            dynamics.start(steps);
        }
        let beside_head = model.staged().map_or(&[][..], Staged::beside_head);
        let listed = parameters(&model);
        Self {
            optimizer: ModelOptimizer::new(recipe.optimizer),
            groups: Groups::new(recipe, &listed, &head, beside_head, faster.as_ref()),
            ema: recipe.ema.map(|decay| Ema::new(decay, &model)),
            model,
            dynamics,
            best: None,
            progress: Progress::default(),
        }
    }

    /// The number of the next step, from 1.
    pub(super) fn step(&self) -> usize {
        self.progress.step_seconds.len() + 1
    }

    /// The model that is validated and saved: with averaged weights if the recipe averages them.
    pub(super) fn output(&self) -> M {
        match &self.ema {
            Some(ema) => ema.output(self.model.clone(), self.dynamics.as_ref()),
            None => self.model.clone(),
        }
    }

    /// Records an epoch, and its weights if it is the best so far and the recipe needs to know.
    pub(super) fn record(&mut self, epoch: Epoch, recipe: &Recipe) {
        let best = self.best.as_ref();
        if recipe.needs_validation() && Best::is_beaten(best, &self.progress.epochs, &epoch) {
            self.best = Some(Best {
                epoch: epoch.epoch,
                tensors: trained(&self.output()),
            });
        }
        self.progress.epochs.push(epoch);
    }

    /// The best epoch (from 1), if the recipe's patience with later epochs is used up.
    pub(super) fn patience_is_over(&self, recipe: &Recipe) -> Option<usize> {
        let best = self.best.as_ref()?;
        let is_over = best.uses_up(recipe.patience?, &self.progress.epochs);
        is_over.then_some(best.epoch)
    }

    /// The result of the run.
    ///
    /// # Errors
    ///
    /// [`TrainingError::Checkpoint`] if the weights of the best epoch, which may come from a
    /// checkpoint, do not fit the model.
    pub(super) fn finish(
        self,
        recipe: &Recipe,
        stopped: bool,
        features: Option<CachedFeatures>,
    ) -> Result<Trained<M>, TrainingError> {
        let mut model = self.output();
        let last = self.progress.epochs.len();
        let best = self
            .best
            .filter(|best| recipe.select == Select::Best && best.epoch < last);
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
            found: Vec::new(),
        })
    }
}
