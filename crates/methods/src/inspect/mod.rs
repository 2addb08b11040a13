//! What a module consists of: its layers, its parameters, and which of its layers a pattern names.

mod importance;
mod layers;
mod statistics;
mod targets;

pub use importance::Importance;
pub(crate) use layers::{ADAPTER, PathStack, follow_paths, nearest};
pub use layers::{
    Layer, LayerKind, ParamInfo, ParameterCount, count_parameters, counts, layers, parameters,
    parameters_lazily,
};
pub(crate) use statistics::adapt;
pub use statistics::freeze_statistics;
pub use targets::Targets;
pub(crate) use targets::{ends_with, is_under, regex};
