//! How an error becomes one line and an exit code.

use finetune::Error;
use finetune::data::DataError;
use finetune::error::one_line;
use finetune::methods::MethodError;
use finetune::model::ModelError;
use finetune::training::TrainingError;

/// A wrong call that the command itself detects: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// An error that another process reports: exit code 1, and no message.
#[derive(Debug, thiserror::Error)]
#[error("reported by another process")]
pub struct Reported;

/// The exit code of an error: 2 if the call was wrong, 1 otherwise.
#[must_use]
pub fn code(error: &anyhow::Error) -> u8 {
    if error.chain().any(is_wrong_call) {
        2
    } else {
        1
    }
}

/// Whether a cause of an error is a wrong call.
fn is_wrong_call(cause: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(error) = cause.downcast_ref::<Error>() {
        return match error {
            Error::Usage(_) | Error::Setting { .. } => true,
            Error::Method(error) => is_wrong_call(error),
            Error::Model(error) => is_wrong_call(error),
            Error::Training(error) => is_wrong_call(error),
            Error::Data(error) => is_wrong_call(error),
            _ => false,
        };
    }
    cause.is::<Usage>()
        || cause.is::<MethodError>()
        || matches!(
            cause.downcast_ref(),
            Some(
                ModelError::UnknownModel { .. }
                    | ModelError::UnknownLibrary { .. }
                    | ModelError::ImageSize { .. }
                    | ModelError::NoBlocks { .. }
            )
        )
        || matches!(
            cause.downcast_ref(),
            Some(TrainingError::Setting { .. } | TrainingError::NoValidation)
        )
        || matches!(
            cause.downcast_ref(),
            Some(
                DataError::NotADataSet { .. }
                    | DataError::Missing { .. }
                    | DataError::NoSuchFold { .. }
                    | DataError::Pattern { .. }
                    | DataError::ImageSize { .. }
            )
        )
}

/// The error on one line, causes after colons.
#[must_use]
pub fn line(error: &anyhow::Error) -> String {
    one_line(error.as_ref())
}
