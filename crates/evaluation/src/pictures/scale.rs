//! Scales of axes: from values to pixels, and the values that are labelled.

/// A scale: maps values to pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    /// The value at `from`.
    pub low: f64,
    /// The value at `to`.
    pub high: f64,
    pub from: i32,
    pub to: i32,
    /// Whether equal ratios, not differences, have equal lengths. Both values must be positive.
    pub log: bool,
}

impl Scale {
    /// A scale on which equal differences have equal lengths.
    pub(crate) fn linear((low, high): (f64, f64), (from, to): (i32, i32)) -> Self {
        Self {
            low,
            high,
            from,
            to,
            log: false,
        }
    }

    /// The pixel of a value; values outside of the scale are at its ends.
    #[allow(clippy::cast_possible_truncation)]
    pub(crate) fn pixel(&self, value: f64) -> i32 {
        let place = |value: f64| if self.log { value.ln() } else { value };
        let (low, high) = (place(self.low), place(self.high));
        let share = (place(value) - low) / (high - low).max(f64::MIN_POSITIVE);
        self.from + (share.clamp(0.0, 1.0) * f64::from(self.to - self.from)).round() as i32
    }
}

/// A scale for shares with at most four steps of whole percents, as `(low, high, step)`.
pub(crate) fn shares(values: impl Iterator<Item = f64>) -> Option<(f64, f64, f64)> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low > high {
        return None;
    }
    let (low, high) = (100.0 * low.clamp(0.0, 1.0), 100.0 * high.clamp(0.0, 1.0));
    [1.0, 2.0, 5.0, 10.0, 20.0, 25.0]
        .into_iter()
        .find_map(|step| {
            let first = ((low / step + 1e-9).floor() * step).min(100.0 - step);
            let last = ((high / step - 1e-9).ceil() * step).max(first + step);
            let fits = last - first <= 4.0 * step && last <= 100.0;
            fits.then_some((first / 100.0, last / 100.0, step / 100.0))
        })
        .or(Some((0.0, 1.0, 0.25)))
}

/// What a cost is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Seconds,
    Number,
}

/// Round values of a cost, and the values among them that stand for a power of ten.
struct Round {
    value: f64,
    power: bool,
}

impl Unit {
    /// Round values from a thousandth of a second, or 1, upwards, in order.
    fn round(self) -> Vec<Round> {
        /// Three powers of ten.
        const THREE: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];
        let mut round = Vec::new();
        let mut add = |unit: f64, counts: &[f64]| {
            for count in counts {
                round.push(Round {
                    value: unit * count,
                    power: [1.0, 10.0, 100.0].contains(count),
                });
            }
        };
        match self {
            Self::Bytes => (0..5).for_each(|power| add(1024_f64.powi(power), &THREE)),
            Self::Number => (0..5).for_each(|power| add(1000_f64.powi(power), &THREE)),
            Self::Seconds => {
                add(0.001, &THREE);
                add(1.0, &[1.0, 2.0, 5.0, 10.0, 20.0, 30.0]);
                add(60.0, &[1.0, 2.0, 5.0, 10.0, 20.0, 30.0]);
                add(3600.0, &THREE);
            }
        }
        round
    }

    /// A round value, short.
    pub(crate) fn label(self, value: f64) -> String {
        let (units, step): (&[&str], f64) = match self {
            _ if value == 0.0 => return "0".to_owned(),
            Self::Bytes => (&["B", "KiB", "MiB", "GiB", "TiB"], 1024.0),
            Self::Number => (&["", "k", "M", "G", "T"], 1000.0),
            Self::Seconds => {
                return match value {
                    _ if value < 0.9995 => format!("{} ms", short(1000.0 * value)),
                    _ if value < 60.0 => format!("{} s", short(value)),
                    _ if value < 3600.0 => format!("{} min", short(value / 60.0)),
                    _ => format!("{} h", short(value / 3600.0)),
                };
            }
        };
        let (mut value, mut unit) = (value, 0);
        while value >= step && unit + 1 < units.len() {
            value /= step;
            unit += 1;
        }
        format!("{} {}", short(value), units[unit])
            .trim_end()
            .to_owned()
    }
}

/// A number with one decimal place unless it is whole.
fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// The axis of a cost.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CostAxis {
    pub low: f64,
    pub high: f64,
    pub log: bool,
    /// The values that are labelled, at most five.
    pub ticks: Vec<f64>,
}

/// The axis for costs that are not negative: logarithmic if they span more than a factor of ten, and
/// from zero otherwise. `None` if there are none.
pub(crate) fn cost_axis(unit: Unit, costs: impl Iterator<Item = f64> + Clone) -> Option<CostAxis> {
    let high = costs.clone().fold(f64::NEG_INFINITY, f64::max);
    let low = costs.fold(f64::INFINITY, f64::min);
    if low > high {
        return None;
    }
    let round = unit.round();
    if low > 0.0 && high / low > 10.0 {
        let (low, high) = (low / 1.6, high * 1.6);
        let mut inside: Vec<&Round> = Vec::new();
        for round in round.iter().filter(|one| (low..=high).contains(&one.value)) {
            // The labels of 20 and 30 seconds would be too close to each other.
            if inside
                .last()
                .is_none_or(|last| round.value / last.value > 1.6)
            {
                inside.push(round);
            }
        }
        if inside.len() > MOST_TICKS {
            inside.retain(|round| round.power);
        }
        let every = inside.len().div_ceil(MOST_TICKS).max(1);
        let ticks = inside.iter().step_by(every).map(|round| round.value);
        return Some(CostAxis {
            low,
            high,
            log: true,
            ticks: ticks.collect(),
        });
    }
    let end = if high > 0.0 { 1.15 * high } else { 1.0 };
    let steps = round.iter().map(|round| round.value);
    let fitting = steps.chain([end]).find(|step| end / step < 5.0);
    let step = fitting.unwrap_or(end);
    let mut ticks = vec![0.0];
    while let Some(next) = ticks
        .last()
        .map(|last| last + step)
        .filter(|next| *next <= end)
    {
        ticks.push(next);
    }
    Some(CostAxis {
        low: 0.0,
        high: end,
        log: false,
        ticks,
    })
}

/// More labels than this do not fit below a small picture.
const MOST_TICKS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_of_shares_have_round_ends() {
        let of = |values: &[f64]| {
            let (low, high, step) = shares(values.iter().copied()).unwrap();
            format!(
                "{:.0}–{:.0} by {:.0}",
                100.0 * low,
                100.0 * high,
                100.0 * step
            )
        };
        assert_eq!(of(&[0.88, 0.996]), "85–100 by 5");
        assert_eq!(of(&[0.981, 0.999]), "98–100 by 1");
        assert_eq!(of(&[0.0, 1.0]), "0–100 by 25");
        assert_eq!(of(&[0.42]), "42–43 by 1");
        // A scale does not exceed 100 %.
        assert_eq!(of(&[1.0, 1.0]), "99–100 by 1");
        assert_eq!(shares(std::iter::empty()), None);
    }

    #[test]
    fn a_scale_maps_its_range_to_its_pixels() {
        let scale = Scale::linear((0.5, 1.0), (10, 110));
        assert_eq!(
            [0.5, 0.75, 1.0, 2.0].map(|value| scale.pixel(value)),
            [10, 60, 110, 110]
        );
        assert_eq!(Scale::linear((0.0, 0.0), (10, 110)).pixel(0.0), 10);
        // Upwards, as pixels count downwards.
        assert_eq!(Scale::linear((0.0, 1.0), (200, 100)).pixel(0.25), 175);
        let log = Scale {
            log: true,
            ..Scale::linear((1.0, 10_000.0), (0, 400))
        };
        assert_eq!(
            [1.0, 10.0, 1000.0, 0.1].map(|value| log.pixel(value)),
            [0, 100, 300, 0]
        );
    }

    fn axis(unit: Unit, costs: &[f64]) -> (bool, Vec<String>) {
        let axis = cost_axis(unit, costs.iter().copied()).unwrap();
        let labels = axis.ticks.iter().map(|tick| unit.label(*tick));
        (axis.log, labels.collect())
    }

    #[test]
    fn costs_within_a_factor_of_ten_start_at_zero() {
        let mebibyte = f64::from(1 << 20);
        // Up to 1.15 · 412 = 474 MiB.
        let (log, labels) = axis(Unit::Bytes, &[205.0 * mebibyte, 412.0 * mebibyte]);
        assert_eq!(
            (log, labels.join(", ")),
            (false, "0, 100 MiB, 200 MiB, 300 MiB, 400 MiB".to_owned())
        );
        // Exactly a factor of ten; up to 115 s.
        let (log, labels) = axis(Unit::Seconds, &[10.0, 100.0]);
        assert_eq!(
            (log, labels.join(", ")),
            (false, "0, 30 s, 1 min, 1.5 min".to_owned())
        );
        assert_eq!(axis(Unit::Number, &[0.0, 0.0]).1, ["0", "1"]);
        assert_eq!(cost_axis(Unit::Bytes, std::iter::empty()), None);
    }

    #[test]
    fn costs_that_span_more_are_on_a_logarithmic_axis() {
        // From 2565 / 1.6 = 1603 to 11 178 565 · 1.6 = 17 885 704.
        let (log, labels) = axis(Unit::Number, &[2565.0, 11_178_565.0]);
        assert_eq!(
            (log, labels.join(", ")),
            (true, "10 k, 100 k, 1 M, 10 M".to_owned())
        );
        // From 6.25 s to 176 s.
        let (log, labels) = axis(Unit::Seconds, &[10.0, 110.0]);
        assert_eq!(
            (log, labels.join(", ")),
            (true, "10 s, 20 s, 1 min, 2 min".to_owned())
        );
        // Nine powers of ten: each second one.
        let (_, labels) = axis(Unit::Number, &[1.0, 1e8]);
        assert_eq!(labels.join(", "), "1, 100, 10 k, 1 M, 100 M");
        // A cost of nothing has no logarithm.
        assert!(!axis(Unit::Number, &[0.0, 5000.0]).0);
    }
}
