//! Settings chosen by validation images, with the same number of trials for every method.
//!
//! Every method gets the same kinds of choices: learning rate, the size of what it adds (rank, width,
//! …) if it has one, augmentation and weight decay. Successive halving (Jamieson and Talwalkar 2016,
//! arXiv:1502.07943) with one halving: all candidates train for a third of the epochs, and the best third
//! of them for all epochs. Test images are not looked at.

use finetune_data::Augment;
use finetune_evaluation::{Run, Tried};
use finetune_methods::Method;
use finetune_model::Architecture;
use finetune_training::Optimizer;
use serde_json::Value;

use super::launcher::Launcher;
use super::trials::{Trials, try_all};
use crate::config::defaults::For;
use crate::config::{Decoded, RunConfig};
use crate::error::Error;
use crate::run::{Observer, Trial};

/// By which the candidates, and the epochs of the first round, are divided.
const DIVISOR: usize = 3;

/// The learning rate is multiplied by 1 over this at least and by this at most.
const RATES: f64 = 4.0;

/// Names of the settings that say how much a method adds; the number is multiplied by ½, 1 or 2.
const SIZES: [&str; 5] = ["rank", "width", "count", "per_output", "target_rank"];

/// Chooses the settings of each method that is trained in steps among `trials` candidates, the default one included, and changes
/// the runs to them. Returns what was tried.
///
/// # Errors
///
/// There are no validation images, a trial fails, or a stop is requested.
pub(super) fn tune(
    runs: &mut [RunConfig],
    trials: usize,
    data: &Decoded,
    launcher: &mut impl Launcher,
    observer: &mut impl Observer,
) -> Result<Vec<Tried>, Error> {
    if data
        .valid
        .as_ref()
        .is_none_or(finetune_data::Images::is_empty)
    {
        return Err(Error::Usage(
            "--tune needs validation images, and there are none; hold some out with --valid-fraction \
             0.2"
            .to_owned(),
        ));
    }
    let mut first: Vec<RunConfig> = Vec::new();
    // The others choose their settings themselves, by the training images.
    for run in runs.iter().filter(|run| !run.method.fits()) {
        if !first
            .iter()
            .any(|other| other.method_name() == run.method_name())
        {
            first.push(run.clone());
        }
    }
    let finalists = trials.div_ceil(DIVISOR);
    let mut rounds = Rounds {
        done: 0,
        all: first.len() * (trials + finalists),
        launcher,
        observer,
        tried: Vec::new(),
    };
    for run in &first {
        let candidates: Vec<RunConfig> = (0..trials).map(|index| candidate(run, index)).collect();
        let short = run.recipe.epochs.div_ceil(DIVISOR);
        let mut scored = rounds.scores(candidates, short)?;
        scored.truncate(finalists);
        let finalists = scored.into_iter().map(|(candidate, _)| candidate).collect();
        let scored = rounds.scores(finalists, run.recipe.epochs)?;
        let Some((best, accuracy)) = scored.into_iter().next() else {
            continue;
        };
        rounds.observer.note(&format!(
            "{}: of {trials} candidates, {} is best on the validation images ({:.1} %)",
            run.method_name(),
            described(&best),
            100.0 * accuracy
        ));
        let described = described(&best);
        for tried in &mut rounds.tried {
            let same = tried.method == run.method_name() && tried.settings == described;
            tried.chosen |= same && tried.epochs == run.recipe.epochs;
        }
        for other in runs.iter_mut() {
            if other.method_name() == run.method_name() {
                let seed = other.seed;
                *other = best.clone().seed(seed);
            }
        }
    }
    Ok(rounds.tried)
}

struct Rounds<'a, L, O> {
    done: usize,
    all: usize,
    launcher: &'a mut L,
    observer: &'a mut O,
    tried: Vec<Tried>,
}

impl<L: Launcher, O: Observer> Rounds<'_, L, O> {
    /// Trains candidates for some epochs; the most accurate on the validation images comes first, of
    /// equally accurate ones that of the lower loss.
    fn scores(
        &mut self,
        candidates: Vec<RunConfig>,
        epochs: usize,
    ) -> Result<Vec<(RunConfig, f64)>, Error> {
        let runs = self.train(&candidates, epochs)?;
        let mut scored = Vec::new();
        for (candidate, run) in candidates.into_iter().zip(runs) {
            let loss = run.epochs.last().and_then(|epoch| epoch.valid_loss);
            self.tried.push(Tried {
                method: candidate.method_name().to_owned(),
                settings: described(&candidate),
                epochs,
                accuracy: run.accuracy,
                chosen: false,
            });
            scored.push((candidate, run.accuracy, loss.unwrap_or(f64::INFINITY)));
        }
        scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.2.total_cmp(&b.2)));
        let scored = scored.into_iter();
        Ok(scored
            .map(|(candidate, accuracy, _)| (candidate, accuracy))
            .collect())
    }

    fn train(&mut self, candidates: &[RunConfig], epochs: usize) -> Result<Vec<Run>, Error> {
        const STOPPED: Error = Error::Stopped("stopped while settings were chosen");
        if self.observer.stop_requested() {
            return Err(STOPPED);
        }
        let runs = candidates.iter().map(|run| run.clone().epochs(epochs));
        let trials = Trials {
            runs: &runs.collect::<Vec<_>>(),
            trial: Trial::Validation,
            before: self.done,
            all: self.all,
        };
        self.done += candidates.len();
        let mut ended = |index: usize, outcome: Result<Run, Error>, observer: &mut O| match outcome
        {
            // What was stopped is not what its settings can do.
            _ if observer.stop_requested() => Err(STOPPED),
            // A candidate that diverges is a bad one.
            Err(error) if !matches!(error, Error::Stopped(_)) => {
                observer.note(&format!(
                    "{} with {} failed: {error}",
                    candidates[index].method_name(),
                    described(&candidates[index])
                ));
                Ok(Run::default())
            }
            outcome => outcome,
        };
        try_all(&trials, self.launcher, self.observer, &mut ended)
    }
}

/// The candidate of that number: 0 is the run as it is, the others are spread evenly over all choices
/// (Halton 1960), the same ones for every method.
fn candidate(run: &RunConfig, index: usize) -> RunConfig {
    let mut run = run.clone();
    if index == 0 {
        return run;
    }
    // The first number of the sequence stands for the middle: the run itself.
    let index = index + 1;
    let exponent = 2.0 * halton(index, 2) - 1.0;
    run.recipe.learning_rate = rounded(run.recipe.learning_rate * RATES.powf(exponent));
    let factor = [1.0, 2.0, 0.5][choice(index, 3)];
    run.method = resized(&run.method, factor);
    run.recipe.augment = augmented(&run, choice(index, 5) * 3 / 5);
    if choice(index, 7) * 2 / 7 == 1 {
        run.recipe.optimizer = Optimizer::AdamW;
        run.recipe.weight_decay = 0.05;
    }
    run
}

/// One of three augmentations, the run's own first.
fn augmented(run: &RunConfig, choice: usize) -> Augment {
    let large = Architecture::find(&run.model)
        .is_ok_and(|model| matches!(For::model(model), For::Large { .. }));
    let own = run.recipe.augment.clone();
    let flip = own.flip || own == Augment::default() && run.mirror == crate::config::Mirror::Auto;
    let all = if large {
        [Augment::standard(), Augment::strong(), Augment::default()]
    } else {
        [Augment::light(), Augment::standard(), Augment::default()]
    };
    let plain = |augment: &Augment| with_flip(augment, false);
    let mut others = all.into_iter().filter(|other| plain(other) != plain(&own));
    match choice {
        0 => own,
        1 => with_flip(&others.next().unwrap_or(own), flip),
        _ => with_flip(&others.nth(1).unwrap_or(own), flip),
    }
}

/// Mirrors only if the run's own augmentation does: what the images show does not change.
fn with_flip(augment: &Augment, flip: bool) -> Augment {
    Augment {
        flip: augment.flip && flip,
        ..augment.clone()
    }
}

/// The method with its size multiplied, and its `alpha` in proportion.
fn resized(method: &Method, factor: f64) -> Method {
    let Ok(Value::Object(mut settings)) = serde_json::to_value(method) else {
        return method.clone();
    };
    let mut found = false;
    for name in SIZES {
        if let Some(size) = settings.get(name).and_then(Value::as_u64) {
            found = true;
            #[allow(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss
            )]
            let size = ((size as f64 * factor) as u64).max(1);
            settings.insert(name.to_owned(), size.into());
        }
    }
    if let Some(alpha) = settings
        .get("alpha")
        .and_then(Value::as_f64)
        .filter(|_| found)
    {
        settings.insert("alpha".to_owned(), (alpha * factor).into());
    }
    serde_json::from_value(Value::Object(settings)).unwrap_or_else(|_| method.clone())
}

/// What is chosen of a candidate, in words.
fn described(run: &RunConfig) -> String {
    let recipe = &run.recipe;
    let mut parts = vec![format!("learning rate {}", recipe.learning_rate)];
    if let Ok(settings) = crate::config::settings::of(&run.method) {
        let sizes = settings
            .into_iter()
            .filter(|(name, _)| SIZES.contains(&name.as_str()));
        parts.extend(sizes.map(|(name, value)| format!("{} {value}", name.replace('_', " "))));
    }
    let presets = [
        ("no augmentation", Augment::default()),
        ("light augmentation", Augment::light()),
        ("standard augmentation", Augment::standard()),
        ("strong augmentation", Augment::strong()),
    ];
    let same = |preset: &Augment| with_flip(preset, false) == with_flip(&recipe.augment, false);
    let augmentation = presets.into_iter().find(|(_, preset)| same(preset));
    parts.push(
        augmentation
            .map_or("its own augmentation", |(name, _)| name)
            .to_owned(),
    );
    if recipe.weight_decay > 0.0 {
        parts.push(format!("weight decay {}", recipe.weight_decay));
    }
    parts.join(", ")
}

/// The number with two digits that are not 0.
fn rounded(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(value)
}

/// One of `base` choices.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn choice(index: usize, base: usize) -> usize {
    ((halton(index, base) * base as f64) as usize).min(base - 1)
}

/// Halton's sequence in a base: numbers that fill `[0, 1)` evenly, from index 1.
#[allow(clippy::cast_precision_loss)]
fn halton(mut index: usize, base: usize) -> f64 {
    let (mut value, mut share) = (0.0, 1.0);
    while index > 0 {
        share /= base as f64;
        value += share * (index % base) as f64;
        index /= base;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halton_fills_the_interval() {
        let of = |base| (1..6).map(|index| halton(index, base)).collect::<Vec<_>>();
        assert_eq!(of(2), [0.5, 0.25, 0.75, 0.125, 0.625]);
        let thirds = [3.0, 6.0, 1.0, 4.0, 7.0].map(|ninths: f64| ninths / 9.0);
        for (found, wanted) in of(3).into_iter().zip(thirds) {
            assert!((found - wanted).abs() < 1e-12);
        }
    }

    #[test]
    fn candidates_differ_and_the_first_is_the_run_itself() {
        for name in ["sft", "lora", "peft", "linear", "shira"] {
            let (method, scratch) = crate::config::defaults::method(name).unwrap();
            assert!(!scratch);
            let run = RunConfig::new(method).model("mobilenet_v2").unwrap();
            assert_eq!(candidate(&run, 0), run);
            let all: Vec<RunConfig> = (0..12).map(|index| candidate(&run, index)).collect();
            for (index, one) in all.iter().enumerate() {
                one.check().unwrap();
                assert!(!all[..index].contains(one), "{name} {index}");
                let ratio = one.recipe.learning_rate / run.recipe.learning_rate;
                assert!((0.24..4.1).contains(&ratio), "{ratio}");
            }
            let distinct = |of: &dyn Fn(&RunConfig) -> String| {
                let mut values: Vec<String> = all.iter().map(of).collect();
                values.sort();
                values.dedup();
                values.len()
            };
            assert_eq!(
                distinct(&|one| format!("{:?}", one.recipe.augment)),
                3,
                "{name}"
            );
            assert_eq!(
                distinct(&|one| one.recipe.weight_decay.to_string()),
                2,
                "{name}"
            );
            let sizes = distinct(&|one| format!("{:?}", one.method));
            assert_eq!(
                sizes,
                if ["sft", "linear"].contains(&name) {
                    1
                } else {
                    3
                },
                "{name}"
            );
        }
    }

    #[test]
    fn alpha_keeps_its_proportion_to_the_rank() {
        let (lora, _) = crate::config::defaults::method("lora").unwrap();
        let ratio = |method: &Method| {
            let settings = serde_json::to_value(method).unwrap();
            (
                settings["rank"].as_u64().unwrap(),
                settings["alpha"].as_f64().unwrap(),
            )
        };
        let (rank, alpha) = ratio(&lora);
        assert_eq!(ratio(&resized(&lora, 2.0)), (2 * rank, 2.0 * alpha));
        assert_eq!(ratio(&resized(&lora, 0.5)), (rank / 2, 0.5 * alpha));
    }
}
