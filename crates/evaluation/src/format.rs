//! Numbers with units, as tables, pictures and progress show them.

use crate::statistics::Summary;

/// Formats a number of bytes: `340 KiB`, `1.6 GiB`.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = number as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 10.0);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// Formats a duration in seconds: `42 ms`, `8.3 s`, `3 min 05 s`; `?` if it is not finite.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub fn seconds(value: f64) -> String {
    match value {
        _ if !value.is_finite() => "?".to_owned(),
        _ if value < 0.001 => format!("{:.2} ms", value * 1e3),
        _ if value < 0.9995 => format!("{:.0} ms", value * 1e3),
        _ if value < 99.95 => format!("{value:.1} s"),
        _ => format!(
            "{} min {:02} s",
            (value / 60.0) as u64,
            (value % 60.0) as u64
        ),
    }
}

/// Formats a count with its digits in groups of three, separated by narrow no-break spaces.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// Formats a share as a percentage, with more digits the smaller it is: `100 %`, `5.2 %`, `0.05 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        _ if percent >= 99.95 => format!("{percent:.0} %"),
        _ if percent >= 1.0 => format!("{percent:.1} %"),
        _ => format!("{percent:.2} %"),
    }
}

/// Formats a share as a percentage with one decimal place: `94.8 %`.
#[must_use]
pub fn tenths(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// The test accuracy: `94.80 %`, or `94.80 ± 0.61 %` over several seeds.
pub(crate) fn accuracy(summary: &Summary) -> String {
    let percent = 100.0 * summary.accuracy.mean;
    match summary.seeds {
        1 => format!("{percent:.2} %"),
        _ => format!("{percent:.2} ± {:.2} %", 100.0 * summary.accuracy.std),
    }
}

/// Joins what a sentence lists: `a`, `a and b`, `a, b and c`.
pub(crate) fn series(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A difference of shares in percentage points.
pub(crate) fn points(share: f64) -> String {
    let text = format!("{:.1}", 100.0 * share);
    match text.strip_prefix('-') {
        Some("0.0") => "0.0".to_owned(),
        Some(number) => format!("−{number}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units_and_few_digits() {
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(
            [bytes(512), bytes(1536), bytes(300_000)],
            ["512 B", "1.5 KiB", "293 KiB"]
        );
        assert_eq!(
            [
                seconds(0.000_062),
                seconds(0.0423),
                seconds(8.31),
                seconds(185.2)
            ],
            ["0.06 ms", "42 ms", "8.3 s", "3 min 05 s"]
        );
        assert_eq!(
            [percent(1.0), percent(0.052), percent(0.0005)],
            ["100 %", "5.2 %", "0.05 %"]
        );
        let parts = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(
            [series(&parts[..1]), series(&parts[..2]), series(&parts)],
            ["a", "a and b", "a, b and c"]
        );
    }
}
