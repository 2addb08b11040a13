//! How a method looks: the same colour and marker in every table and picture.

use plotters::style::RGBColor;

use crate::statistics::summary::Summary;

/// A method's colour and marker. Either tells it apart without the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    pub color: RGBColor,
    pub marker: Marker,
}

/// Shapes that stay apart at 8 pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
    Wedge,
}

/// Colours that people with colour-blindness tell apart (Okabe and Ito 2008); their yellow is
/// left out as too faint on white, their black is a grey that shows on black.
const PALETTE: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(140, 140, 140),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

const MARKERS: [Marker; 5] = [
    Marker::Circle,
    Marker::Square,
    Marker::Triangle,
    Marker::Diamond,
    Marker::Wedge,
];

/// Methods that look the same in every report.
const KNOWN: [&str; 5] = ["sft", "lora", "peft", "linear", "scratch"];

/// The looks of a report's methods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Looks {
    others: Vec<String>,
}

impl Looks {
    pub(crate) fn of(summaries: &[Summary]) -> Self {
        let mut others: Vec<String> = Vec::new();
        for Summary { method, .. } in summaries {
            if !KNOWN.contains(&method.as_str()) && !others.contains(method) {
                others.push(method.clone());
            }
        }
        Self { others }
    }

    /// A known method's own look; one of the remaining ones for another.
    pub(crate) fn get(&self, method: &str) -> Look {
        let known = KNOWN.iter().position(|name| *name == method);
        let other = || self.others.iter().position(|name| name == method);
        let place = known.unwrap_or_else(|| KNOWN.len() + other().unwrap_or(0));
        Look {
            color: PALETTE[place % PALETTE.len()],
            marker: MARKERS[place % MARKERS.len()],
        }
    }
}

impl Look {
    /// The colour as CSS writes it.
    pub(crate) fn css(self) -> String {
        let RGBColor(red, green, blue) = self.color;
        format!("rgb({red},{green},{blue})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::tests::with_runs;
    use crate::statistics::summary::summarize;

    #[test]
    fn eleven_methods_all_look_different() {
        let names: Vec<String> = KNOWN.iter().map(ToString::to_string).collect();
        let more = (0..6).map(|i| format!("other {i}"));
        let names: Vec<String> = names.into_iter().chain(more).collect();
        let runs: Vec<_> = names.iter().map(|name| (name.as_str(), 0, 0.5)).collect();
        let looks = Looks::of(&summarize(&with_runs(&runs)));
        let mut seen: Vec<Look> = Vec::new();
        for name in &names {
            let look = looks.get(name);
            assert!(!seen.contains(&look), "{name}");
            seen.push(look);
        }
        assert_eq!(looks.get("sft").css(), "rgb(0,114,178)");
    }
}
