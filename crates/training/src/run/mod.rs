//! One training run: the loop, its state and checkpoints, and what observes it.

mod best;
mod checkpoint;
mod evaluate;
mod exact;
mod fit;
mod observer;
mod progress;
mod range_test;
mod record;
mod single_value;
mod state;
mod sums;
mod train;
mod trained;

pub use checkpoint::Checkpoint;
pub use evaluate::{Answer, Predictions, evaluate};
pub use fit::fit_features;
pub use observer::Observer;
pub use range_test::{RangeTest, range_test};
pub use record::{Epoch, Step};
pub use train::{resume, train};
pub use trained::Trained;
