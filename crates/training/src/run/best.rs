//! The epoch that the validation images liked best.

use finetune_methods::TrainedTensor;

use crate::run::observer::Epoch;

/// The best epoch so far, and its weights.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Best {
    /// From 1.
    pub(crate) epoch: usize,
    /// What the method had trained by then.
    pub(crate) tensors: Vec<TrainedTensor>,
}

impl Best {
    /// Whether an epoch is better: by the validation accuracy, of equals by the validation loss.
    pub(crate) fn is_beaten(best: Option<&Self>, epochs: &[Epoch], new: &Epoch) -> bool {
        let best = best.and_then(|best| epochs.get(best.epoch - 1));
        Self::is_better(best, new)
    }

    /// Whether an epoch is better than another one, or than none.
    pub(crate) fn is_better(best: Option<&Epoch>, new: &Epoch) -> bool {
        let Some(best) = best else {
            return new.valid_accuracy.is_some();
        };
        let key = |epoch: &Epoch| (epoch.valid_accuracy, epoch.valid_loss);
        match (key(new), key(best)) {
            ((Some(accuracy), Some(loss)), (Some(best), Some(best_loss))) => {
                accuracy > best || (accuracy.to_bits() == best.to_bits() && loss < best_loss)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(number: usize, accuracy: f64, loss: f64) -> Epoch {
        Epoch {
            epoch: number,
            train_loss: 0.0,
            train_accuracy: 0.0,
            valid_loss: Some(loss),
            valid_accuracy: Some(accuracy),
            learning_rate: 0.1,
            seconds: 1.0,
            images_per_second: 1.0,
            memory_bytes: None,
        }
    }

    #[test]
    fn accuracy_decides_and_then_the_loss() {
        let epochs = [epoch(1, 0.5, 1.0), epoch(2, 0.8, 0.7)];
        let best = Best {
            epoch: 2,
            tensors: Vec::new(),
        };
        let beaten =
            |accuracy, loss| Best::is_beaten(Some(&best), &epochs, &epoch(3, accuracy, loss));
        assert!(beaten(0.81, 9.0));
        assert!(beaten(0.8, 0.6));
        assert!(!beaten(0.8, 0.7));
        assert!(!beaten(0.79, 0.1));
        assert!(!beaten(f64::NAN, 0.1));
        assert!(Best::is_beaten(None, &[], &epoch(1, 0.0, 5.0)));
        let unseen = Epoch {
            valid_accuracy: None,
            ..epoch(1, 0.0, 0.0)
        };
        assert!(!Best::is_beaten(None, &[], &unseen));
    }
}
