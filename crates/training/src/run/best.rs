//! The best epoch so far, and early stopping.

use finetune_methods::TrainedTensor;

use super::record::Epoch;

/// The epoch with the best validation accuracy so far, and its weights.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Best {
    /// Its number, from 1.
    pub(super) epoch: usize,
    /// The trained tensors after that epoch.
    pub(super) tensors: Vec<TrainedTensor>,
}

impl Best {
    /// Whether a new epoch is better than the best of `epochs`, if there is one.
    pub(super) fn is_beaten(best: Option<&Self>, epochs: &[Epoch], new: &Epoch) -> bool {
        let best = best.and_then(|best| epochs.get(best.epoch - 1));
        is_better(best, new)
    }

    /// Whether a run has had `patience` epochs since the best one.
    pub(super) fn uses_up(&self, patience: usize, epochs: &[Epoch]) -> bool {
        epochs.len() - self.epoch >= patience
    }
}

/// The number (from 1) of the best epoch; `None` if none was validated.
pub(super) fn best(epochs: &[Epoch]) -> Option<usize> {
    let best = epochs.iter().fold(None, |best: Option<&Epoch>, new| {
        if is_better(best, new) {
            Some(new)
        } else {
            best
        }
    });
    best.map(|best| best.epoch)
}

/// Whether an epoch is better than the best one so far: by validation accuracy, then by validation
/// loss.
fn is_better(best: Option<&Epoch>, new: &Epoch) -> bool {
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
    fn epochs_are_compared_by_accuracy_and_then_by_loss() {
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

    #[test]
    fn patience_counts_the_epochs_after_the_best_one() {
        let epochs = [epoch(1, 0.5, 1.0), epoch(2, 0.8, 0.7), epoch(3, 0.7, 0.7)];
        let best = Best {
            epoch: best(&epochs).unwrap(),
            tensors: Vec::new(),
        };
        assert_eq!(best.epoch, 2);
        assert!(best.uses_up(1, &epochs));
        assert!(!best.uses_up(2, &epochs));
    }
}
