//! Predictions of finished runs: for images in memory and in files ([`Predictor`]), and for as many as
//! there are ([`Predictor::stream`]), whose paths [`ImagePaths`] finds.

mod feature_file;
mod paths;
mod pattern;
mod predictor;
mod stream;
mod wildcard;

pub use feature_file::FeatureFile;
pub use paths::{BadInput, ImagePaths, Input, PathList};
pub use predictor::{Answer, Answering, Predictor, Prepared, Views};
pub use stream::{Predicted, Streaming};
