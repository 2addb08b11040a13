//! The folder of a run or comparison: the names of its files ([`RunFolder`]), its plan ([`Plan`]) and
//! its finished runs ([`FinishedRun`], [`Predictor`], [`export`]).

mod card;
mod export;
mod finished;
mod lock;
mod names;
mod occupy;
mod onnx;
mod path;
mod plan;
mod predict;
mod report;

pub(crate) use card::write_cards;
pub use export::{ExportFormat, Written, export};
pub use finished::{FinishedRun, TestImages};
pub use lock::Lock;
pub use names::RunFolder;
pub(crate) use occupy::{Occupied, vacant};
pub use onnx::OnnxInput;
pub use path::{absolute, pinned};
pub use plan::Plan;
pub use predict::{
    Answer, Answering, BadInput, FeatureFile, ImagePaths, Input, PathList, Predicted, Predictor,
    Prepared, Streaming, Views,
};
pub use report::{write_pages, write_report};
