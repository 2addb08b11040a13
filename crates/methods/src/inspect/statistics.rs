//! Whether the `BatchNorm`s of a model update their running statistics.

use burn::module::{Flag, Module, ModuleMapper, Param};

use super::paths::burn_names::BATCH_NORM_TRAINING;
use super::paths::{PathStack, follow_paths};

/// Lets every `BatchNorm` update its running mean and variance again.
pub(crate) fn adapt<M: Module>(model: M) -> M {
    switch(model, true)
}

/// Keeps the running mean and variance of every `BatchNorm` as they are, in training as well.
#[must_use]
pub fn freeze_statistics<M: Module>(model: M) -> M {
    switch(model, false)
}

fn switch<M: Module>(model: M, on: bool) -> M {
    model.map(&mut Switch {
        stack: PathStack::default(),
        on,
    })
}

struct Switch {
    stack: PathStack,
    on: bool,
}

impl ModuleMapper for Switch {
    follow_paths!();

    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        if self.stack.field() == BATCH_NORM_TRAINING {
            flag.with_value(self.on)
        } else {
            flag
        }
    }
}
