//! `BatchNorm` statistics of a frozen base.

use burn::module::{Flag, Module, ModuleMapper, Param};

use crate::inspect::{PathStack, follow_paths};

/// Lets the running means and variances of every `BatchNorm` move again.
pub(crate) fn adapt<M: Module>(model: M) -> M {
    switch(model, true)
}

/// Keeps the running means and variances of every `BatchNorm` as they are.
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
        match self.stack.field() {
            ("training", "BatchNorm") => flag.with_value(self.on),
            _ => flag,
        }
    }
}
