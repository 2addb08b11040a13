//! What a module consists of: its layers and parameters, and which layers a pattern names.

mod importance;
mod layers;
mod parameters;
pub(crate) mod paths;
mod statistics;
mod targets;

pub use importance::Importance;
pub(crate) use layers::nearest;
pub use layers::{Layer, LayerKind, layers};
pub use parameters::{
    ParamInfo, ParameterCount, count_parameters, counts, parameters, parameters_lazily,
};
pub(crate) use statistics::adapt;
pub use statistics::freeze_statistics;
pub use targets::Targets;
pub(crate) use targets::{ends_with, is_under, regex};
