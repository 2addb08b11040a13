//! What a comparison shows of a method beside training from scratch, as clauses of a sentence.

use super::differences::{between, interval};
use crate::format::points;
use crate::statistics::summary::{SCRATCH, Summary};
use crate::statistics::{Difference, MIN_SEEDS, Verdict};

/// What the comparison of a method with training from scratch shows.
pub(super) struct BesideScratch {
    difference: Difference,
    verdict: Verdict,
    /// Whether too few seeds were trained to compare more than these models.
    of_models: bool,
}

impl BesideScratch {
    /// `None` if one of both was not compared, or the outcomes of the images are not known.
    pub(super) fn of(methods: &[Summary], name: &str) -> Option<Self> {
        let pair = between(methods, name, SCRATCH)?;
        let difference = pair.difference?;
        let own = methods
            .iter()
            .filter(|one| [name, SCRATCH].contains(&one.method.as_str()));
        let of_models = own.map(|one| one.seeds).min() < Some(MIN_SEEDS);
        let verdict = match pair.verdict {
            _ if of_models && difference.low > 0.0 => Verdict::First,
            _ if of_models && difference.high < 0.0 => Verdict::Second,
            other => other,
        };
        Some(Self {
            difference,
            verdict,
            of_models,
        })
    }

    fn is_shown(&self) -> bool {
        !matches!(self.verdict, Verdict::NotShown(_))
    }

    /// A clause that names both.
    pub(super) fn in_full(&self, name: &str) -> String {
        let (one, other) = if self.of_models {
            (format!("the model of {name}"), format!("that of {SCRATCH}"))
        } else {
            (name.to_owned(), SCRATCH.to_owned())
        };
        if self.is_shown() {
            format!(
                "{one} is {} than {other} ({})",
                self.size(),
                self.interval()
            )
        } else {
            format!(
                "{one} is not shown to be better than {other} ({})",
                self.numbers()
            )
        }
    }

    /// A clause that follows that of another training set.
    pub(super) fn after(&self, first: &Self, name: &str) -> String {
        if self.is_shown() && first.is_shown() {
            format!("it is {} ({})", self.size(), self.interval())
        } else if self.is_shown() {
            self.in_full(name)
        } else {
            format!("no difference is shown ({})", self.numbers())
        }
    }

    /// `3.1 points better`.
    fn size(&self) -> String {
        let (value, word) = match self.verdict {
            Verdict::Second => (-self.difference.value, "worse"),
            _ => (self.difference.value, "better"),
        };
        format!("{} points {word}", points(value))
    }

    fn interval(&self) -> String {
        format!("95 % interval {}", interval(&self.difference))
    }

    fn numbers(&self) -> String {
        format!(
            "{} points, {}",
            points(self.difference.value),
            self.interval()
        )
    }
}
