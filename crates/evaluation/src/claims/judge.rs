//! The six claims and their rules.

use super::{Claim, Judgement, per_class, runs};
use crate::format::{points, tenths};
use crate::report::{Report, Run};
use crate::statistics::{Difference, Outcomes, median};

/// The size up to which a training set counts as small, images per class.
const FEW: usize = 25;

/// Two accuracies that differ by less are as good for most purposes.
const MARGIN: f64 = 0.02;

/// The ratio up to which something is very small or very fast.
const VERY: f64 = 0.5;

/// The share of trained parameters up to which they are few.
const SPARSE: f64 = 0.1;

/// Judges the claims by comparisons on training sets of several sizes.
#[must_use]
pub fn judge(reports: &[Report]) -> Vec<Claim> {
    let mut sizes: Vec<&Report> = reports.iter().collect();
    sizes.sort_by_key(|report| per_class(report));
    let Some(all) = sizes.last() else {
        return Vec::new();
    };
    vec![
        adapts_fast(all),
        needs_little_data(&sizes),
        is_small_and_cheap(all),
        is_good_with_few(&sizes),
        resource("LoRA needs very little memory", "peak memory", all, |run| {
            run.peak_memory_bytes.map(as_f64)
        }),
        resource("LoRA is very fast", "time per step", all, |run| {
            Some(run.seconds_per_step)
        }),
    ]
}

#[allow(clippy::cast_precision_loss)]
fn as_f64(number: u64) -> f64 {
    number as f64
}

/// The median, the least and the greatest of the ratios of two methods with the same seeds.
struct Ratios {
    median: f64,
    least: f64,
    most: f64,
    seeds: usize,
}

impl Ratios {
    fn of(
        report: &Report,
        [first, second]: [&str; 2],
        number: impl Fn(&Run) -> Option<f64>,
    ) -> Option<Self> {
        Self::of_pairs(report, [first, second], |run, other| {
            let ratio = number(run)? / number(other)?;
            ratio.is_finite().then_some(ratio)
        })
    }

    /// The ratios that `ratio` returns for the runs of two methods with the same seed.
    fn of_pairs(
        report: &Report,
        [first, second]: [&str; 2],
        ratio: impl Fn(&Run, &Run) -> Option<f64>,
    ) -> Option<Self> {
        let others = runs(report, second);
        let ratios: Vec<f64> = runs(report, first)
            .into_iter()
            .filter_map(|run| {
                let other = others.iter().find(|other| other.seed == run.seed)?;
                ratio(run, other)
            })
            .collect();
        (!ratios.is_empty()).then(|| Self {
            median: median(&ratios),
            least: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            most: ratios.iter().copied().fold(0.0, f64::max),
            seeds: ratios.len(),
        })
    }

    fn described(&self) -> String {
        let Self {
            median,
            least,
            most,
            seeds,
        } = self;
        match seeds {
            1 => format!("{median:.2} (one seed)"),
            _ => format!("{median:.2} ({least:.2} to {most:.2}, {seeds} seeds)"),
        }
    }
}

fn adapts_fast(all: &Report) -> Claim {
    let claim = "Full fine-tuning adapts fast";
    let rule = "the epochs until nine tenths of the accuracy on the training images that both reach in the \
                end, divided by those from random weights with the same seed: confirmed if all ratios are \
                below 1, refuted if none is";
    let found = Ratios::of_pairs(all, ["sft", "scratch"], |run, other| {
        let reached = |run: &Run| Some(run.epochs.last()?.train_accuracy);
        let wanted = 0.9 * reached(run)?.min(reached(other)?);
        Some(epochs_until(run, wanted)? / epochs_until(other, wanted)?)
    });
    let Some(found) = found else {
        return not_measured(claim, rule, "needs runs of sft and scratch");
    };
    let judgement = match found {
        Ratios { seeds: 1, .. } => Judgement::NotShown,
        Ratios { most, .. } if most < 1.0 => Judgement::Confirmed,
        Ratios { least, .. } if least >= 1.0 => Judgement::Refuted,
        _ => Judgement::NotShown,
    };
    Claim {
        claim: claim.to_owned(),
        rule: rule.to_owned(),
        found: vec![format!(
            "sft needs {} times the epochs of training from random weights",
            found.described()
        )],
        judgement,
    }
}

/// The number of the first epoch with an accuracy on the training images.
#[allow(clippy::cast_precision_loss)]
fn epochs_until(run: &Run, accuracy: f64) -> Option<f64> {
    let epoch = run
        .epochs
        .iter()
        .find(|epoch| epoch.train_accuracy >= accuracy)?;
    Some(epoch.epoch as f64)
}

/// The difference between the test accuracies of two methods.
fn difference(report: &Report, first: &str, second: &str) -> Option<Difference> {
    let outcomes = |method: &str| {
        let runs = runs(report, method).into_iter();
        Outcomes::new(runs.map(Run::correct).collect::<Option<_>>()?).ok()
    };
    Difference::between(&outcomes(first)?, &outcomes(second)?).ok()?
}

/// The differences between two methods, by the number of images a class.
fn differences(sizes: &[&Report], [first, second]: [&str; 2]) -> Vec<(usize, Difference)> {
    let sizes = sizes.iter();
    let found = sizes.map(|report| Some((per_class(report), difference(report, first, second)?)));
    found.flatten().collect()
}

/// `with 10 images a class, 3.1 points (95 % interval 1.0 to 5.2)`, for each size.
fn described(differences: &[(usize, Difference)]) -> Vec<String> {
    let sentences = differences.iter().map(|(images, difference)| {
        format!(
            "with {images} images a class, {} points (95 % interval {} to {})",
            points(difference.value),
            points(difference.low),
            points(difference.high)
        )
    });
    sentences.collect()
}

fn needs_little_data(sizes: &[&Report]) -> Claim {
    let claim = "Full fine-tuning needs little data";
    let rule = "with the fewest images, its accuracy minus that from random weights: confirmed if the interval \
                is above 0, refuted if it is below";
    let differences = differences(sizes, ["sft", "scratch"]);
    let Some((_, fewest)) = differences.first() else {
        return not_measured(claim, rule, "needs runs of sft and scratch");
    };
    let judgement = if !fewest.over_seeds {
        Judgement::NotShown
    } else if fewest.low > 0.0 {
        Judgement::Confirmed
    } else if fewest.high < 0.0 {
        Judgement::Refuted
    } else {
        Judgement::NotShown
    };
    Claim {
        claim: claim.to_owned(),
        rule: rule.to_owned(),
        found: described(&differences),
        judgement,
    }
}

fn is_small_and_cheap(all: &Report) -> Claim {
    let claim = "Sparse shared PEFT has few parameters and is cheap to compute";
    let rule = "confirmed if it trains at most a tenth of what sft trains and all ratios of the time per step \
                are below 1; refuted if it trains more or all ratios are above 1; partly if they are on both \
                sides of it";
    let parameters = Ratios::of(all, ["peft", "sft"], |run| {
        Some(as_f64(run.trainable_parameters))
    });
    let times = Ratios::of(all, ["peft", "sft"], |run| Some(run.seconds_per_step));
    let (Some(parameters), Some(times)) = (parameters, times) else {
        return not_measured(claim, rule, "needs runs of peft and sft");
    };
    let judgement = if parameters.most > SPARSE {
        Judgement::Refuted
    } else if times.seeds == 1 {
        Judgement::NotShown
    } else if times.least > 1.0 {
        Judgement::Refuted
    } else if times.most < 1.0 {
        Judgement::Confirmed
    } else {
        Judgement::Partly
    };
    Claim {
        claim: claim.to_owned(),
        rule: rule.to_owned(),
        found: vec![
            format!(
                "peft trains {} of the parameters that sft trains",
                crate::format::percent(parameters.median)
            ),
            format!(
                "its time per step, divided by that of sft, is {}",
                times.described()
            ),
        ],
        judgement,
    }
}

fn is_good_with_few(sizes: &[&Report]) -> Claim {
    let claim = "Sparse shared PEFT is good with few samples";
    let rule = "with at most 25 images a class, its accuracy minus that of sft: confirmed if all intervals are \
                above −2 points, refuted if one is below; otherwise not shown";
    let mut differences = differences(sizes, ["peft", "sft"]);
    differences.retain(|(images, _)| *images <= FEW);
    if differences.is_empty() {
        let missing = "needs runs of peft and sft with at most 25 images a class";
        return not_measured(claim, rule, missing);
    }
    let all = |holds: fn(&Difference) -> bool| differences.iter().all(|(_, found)| holds(found));
    let judgement = if !all(|found| found.over_seeds) {
        Judgement::NotShown
    } else if all(|found| found.low > -MARGIN) {
        Judgement::Confirmed
    } else if !all(|found| found.high >= -MARGIN) {
        Judgement::Refuted
    } else {
        Judgement::NotShown
    };
    Claim {
        claim: claim.to_owned(),
        rule: rule.to_owned(),
        found: described(&differences),
        judgement,
    }
}

/// A claim that LoRA needs very little of something.
fn resource(claim: &str, what: &str, all: &Report, number: impl Fn(&Run) -> Option<f64>) -> Claim {
    let rule = format!(
        "its {what}, divided by that of sft with the same seed: confirmed if all ratios are at most {VERY}, \
         partly if all are below 1, refuted if all are 1 or more"
    );
    let Some(ratios) = Ratios::of(all, ["lora", "sft"], number) else {
        return not_measured(claim, &rule, "needs runs of lora and sft");
    };
    let judgement = match ratios {
        Ratios { seeds: 1, .. } => Judgement::NotShown,
        Ratios { most, .. } if most <= VERY => Judgement::Confirmed,
        Ratios { most, .. } if most < 1.0 => Judgement::Partly,
        Ratios { least, .. } if least >= 1.0 => Judgement::Refuted,
        _ => Judgement::NotShown,
    };
    Claim {
        claim: claim.to_owned(),
        rule,
        found: vec![format!(
            "the {what} of lora, divided by that of sft, is {}",
            ratios.described()
        )],
        judgement,
    }
}

fn not_measured(claim: &str, rule: &str, missing: &str) -> Claim {
    Claim {
        claim: claim.to_owned(),
        rule: rule.to_owned(),
        found: vec![missing.to_owned()],
        judgement: Judgement::NotMeasured,
    }
}

/// The mean accuracy of a method in a report, and its standard deviation over several seeds.
pub(super) fn accuracy(report: &Report, method: &str) -> Option<String> {
    let values: Vec<f64> = runs(report, method)
        .iter()
        .map(|run| run.accuracy)
        .collect();
    let spread = crate::statistics::Spread::of(&values);
    match values.len() {
        0 => None,
        1 => Some(tenths(spread.mean)),
        _ => Some(format!(
            "{:.1} ± {:.1} %",
            100.0 * spread.mean,
            100.0 * spread.std
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::tests::with_runs;
    use crate::report::{Epoch, outcomes};

    /// A report of five methods with these numbers of right answers among 100, with five seeds.
    fn report(per_class: usize, right: [usize; 4]) -> Report {
        let methods = ["sft", "peft", "lora", "scratch"];
        let mut wanted = Vec::new();
        for seed in 0..5 {
            wanted.extend(methods.map(|method| (method, seed, 0.0)));
        }
        let mut report = with_runs(&wanted);
        for run in &mut report.runs {
            let at = methods.iter().position(|name| *name == run.method);
            let right = right[at.unwrap()];
            // Other images are wrong with each seed.
            let first = usize::try_from(run.seed).unwrap() * 7;
            let wrong = |image: usize| (image + first) % 100 >= right;
            run.outcomes = Some(outcomes((0..100).map(|image| !wrong(image))));
            run.confusion = vec![vec![100]];
            run.train_per_class_found = Some(per_class);
            run.epochs = [0.5, 0.7, 1.0]
                .into_iter()
                .zip(1..)
                .map(|(train_accuracy, epoch)| Epoch {
                    train_accuracy,
                    ..an_epoch(epoch)
                })
                .collect();
            (run.trainable_parameters, run.seconds_per_step) = (1000, 0.1);
            run.peak_memory_bytes = Some(1 << 20);
        }
        report
    }

    fn an_epoch(epoch: usize) -> Epoch {
        Epoch {
            epoch,
            train_loss: 1.0,
            train_accuracy: 0.0,
            valid_loss: None,
            valid_accuracy: None,
            learning_rate: 0.1,
            seconds: 1.0,
            images_per_second: 1.0,
            memory_bytes: None,
        }
    }

    fn change(report: &mut Report, method: &str, change: impl Fn(&mut Run)) {
        let runs = report.runs.iter_mut();
        runs.filter(|run| run.method == method).for_each(change);
    }

    fn judgements(reports: &[Report]) -> Vec<Judgement> {
        let claims = judge(reports);
        claims.iter().map(|claim| claim.judgement).collect()
    }

    #[test]
    fn what_holds_is_confirmed_and_what_does_not_is_refuted() {
        use Judgement::{Confirmed, NotShown, Partly, Refuted};
        let few = report(10, [90, 91, 90, 40]);
        let mut all = report(100, [95, 95, 95, 95]);
        // 100 % after the second of three epochs, instead of the third.
        change(&mut all, "sft", |run| run.epochs[1].train_accuracy = 1.0);
        change(&mut all, "peft", |run| {
            (run.trainable_parameters, run.seconds_per_step) = (50, 0.09);
        });
        change(&mut all, "lora", |run| {
            (run.peak_memory_bytes, run.seconds_per_step) = (Some(1 << 19), 0.08);
        });
        // The order of the reports does not matter.
        let good = judge(&[all.clone(), few.clone()]);
        assert_eq!(
            good.iter().map(|claim| claim.judgement).collect::<Vec<_>>(),
            [
                Confirmed, Confirmed, Confirmed, Confirmed, Confirmed, Partly
            ]
        );
        assert!(good[0].found[0].contains("0.67 (0.67 to 0.67, 5 seeds)"));
        assert!(good[1].found[0].starts_with("with 10 images a class, 50.0 points"));
        assert!(good[1].found[1].starts_with("with 100 images a class, 0.0 points"));
        assert!(good[2].found[0].contains("5.0 %"));
        assert!(good[4].found[0].ends_with("is 0.50 (0.50 to 0.50, 5 seeds)"));

        // With every seed, `scratch` is right about all images that `sft` is right about, and five more.
        let few = report(10, [90, 60, 90, 95]);
        let mut all = report(100, [95, 95, 95, 95]);
        change(&mut all, "peft", |run| run.trainable_parameters = 200);
        change(&mut all, "lora", |run| {
            run.peak_memory_bytes = Some(1 << 21);
            run.seconds_per_step = if run.seed == 0 { 0.05 } else { 0.2 };
        });
        assert_eq!(
            judgements(&[few, all]),
            [Refuted, Refuted, Refuted, Refuted, Refuted, NotShown]
        );
        let same = report(10, [90, 90, 90, 90]);
        assert_eq!(judgements(&[same])[1], NotShown);
    }

    #[test]
    fn one_seed_shows_little_and_missing_methods_are_named() {
        use Judgement::{NotMeasured, NotShown, Refuted};
        let mut one = report(10, [90, 90, 90, 40]);
        one.runs.retain(|run| run.seed == 0);
        let judged = judgements(&[one.clone()]);
        // The methods have equally many parameters here, which needs no second seed.
        assert_eq!(judged[2], Refuted);
        assert_eq!([&judged[..2], &judged[3..]].concat(), [NotShown; 5]);
        one.runs.retain(|run| run.method == "sft");
        assert_eq!(judgements(&[one]), [NotMeasured; 6]);
        assert_eq!(judge(&[]), []);
    }
}
