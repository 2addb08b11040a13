//! Checks of a run's settings, wherever they come from.

use std::fmt::Display;

use finetune_data::Augment;
use finetune_training::TrainingError;

use super::format::Format;
use super::run::RunConfig;
use crate::error::Error;
use crate::machine::threads::MOST_THREADS;

/// The largest side of images: a single batch of larger ones would not fit into memory.
const LARGEST_SIDE: usize = 4096;

/// The most units of a head's hidden layer.
const MOST_UNITS: usize = 1 << 16;

impl RunConfig {
    /// Checks that each setting is in its range, and that the model exists and takes images of this
    /// size. A configuration from a file is checked like one that was typed.
    ///
    /// Neither files nor the device are looked at.
    ///
    /// # Errors
    ///
    /// The first setting that is out of its range.
    pub fn check(&self) -> Result<(), Error> {
        let side = self.data.image_size;
        let wanted = "at most 4096 pixels";
        check("--image-size", side, wanted, side <= LARGEST_SIDE)?;
        let architecture = self.architecture()?;
        self.targets()?;
        let units = self.head_hidden.unwrap_or(1);
        let wanted = "from 1 to 65536";
        check(
            "--head-hidden",
            units,
            wanted,
            (1..=MOST_UNITS).contains(&units),
        )?;
        self.recipe.check()?;
        self.check_steps()?;
        if self.format == Format::Pth && self.method.merges() && !self.saves_model() {
            return Err(Error::Usage(
                "--format pth writes the whole model for PyTorch, and --save adapter writes none; leave one of \
                 them out"
                    .to_owned(),
            ));
        }
        let (depth, head) = (self.recipe.drop_path, self.recipe.head_dropout);
        let wanted = "0 for a model without stochastic depth";
        let possible = depth <= 0.0 || architecture.drop_path.is_some();
        check("--drop-path", depth, wanted, possible)?;
        let wanted = "0 for a method that does not train the whole network";
        let possible = |value: f64| value <= 0.0 || !self.method.freezes_base();
        check("--drop-path", depth, wanted, possible(depth))?;
        check("--head-dropout", head, wanted, possible(head))?;
        if let Err((name, value, wanted)) = self.recipe.augment.check() {
            return Err(TrainingError::Setting {
                name,
                value,
                wanted,
            }
            .into());
        }
        let data = &self.data;
        let at_least_1 = |name, value: Option<u64>| {
            let value = value.unwrap_or(1);
            check(name, value, "at least 1", value > 0)
        };
        let images = data.train_per_class.map(|images| images as u64);
        at_least_1("--train-per-class", images)?;
        at_least_1("--max-pixels", data.max_pixels)?;
        let fraction = data.valid_fraction.unwrap_or(0.0);
        let wanted = "at least 0 and below 1";
        check(
            "--valid-fraction",
            fraction,
            wanted,
            (0.0..1.0).contains(&fraction),
        )?;
        if let Some(fold) = data.fold {
            check("--folds", fold.of, "at least 2", fold.of >= 2)?;
            let wanted = "from 1 to the number of folds";
            let valid = (1..=fold.of).contains(&fold.index);
            check("--fold", fold.index, wanted, valid)?;
        }
        for (name, threads) in [
            ("--threads", self.threads),
            ("--workers", data.pipeline.workers),
        ] {
            let threads = threads.unwrap_or(1);
            let wanted = "from 1 to 1024";
            check(name, threads, wanted, (1..=MOST_THREADS).contains(&threads))?;
        }
        Ok(())
    }

    /// Checks that nothing is asked of training steps if there are none.
    fn check_steps(&self) -> Result<(), Error> {
        if !self.method.fits() {
            return Ok(());
        }
        let name = self.method_name();
        for (flag, value, asked) in [
            ("--lr", "auto".to_owned(), self.auto_rate),
            (
                "--head-hidden",
                self.head_hidden.unwrap_or_default().to_string(),
                self.head_hidden.is_some(),
            ),
            (
                "--modules-to-save",
                self.modules_to_save.join(","),
                !self.modules_to_save.is_empty(),
            ),
            ("--batch-norm", "adapt".to_owned(), self.adapt_statistics),
            (
                "--augment",
                "on".to_owned(),
                self.recipe.augment != Augment::default(),
            ),
        ] {
            if asked {
                return Err(Error::Usage(format!(
                    "{flag} is {value}, but {name} is computed from the features of the images as they are, and \
                     trains in no steps; leave it out"
                )));
            }
        }
        Ok(())
    }
}

#[allow(clippy::needless_pass_by_value)] // numbers
fn check(
    name: &'static str,
    value: impl Display,
    wanted: &'static str,
    valid: bool,
) -> Result<(), Error> {
    if valid {
        return Ok(());
    }
    Err(Error::Setting {
        name,
        value: value.to_string(),
        wanted,
    })
}
