//! Colours and markers: a method has the same ones in every table and picture.

use plotters::style::RGBColor;

use crate::statistics::summary::Summary;

/// A method's colour and marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    pub color: RGBColor,
    pub marker: Marker,
}

/// Shapes that can be told apart at 8 pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
    Wedge,
}

/// The colours of Okabe and Ito (2008), which people with colour blindness can tell apart. Their
/// yellow is left out because it is too faint on white; their black is replaced by a grey that is
/// visible on black.
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

/// Methods with the same colour and marker in every report.
const KNOWN: [&str; 5] = ["sft", "lora", "peft", "linear", "scratch"];

/// The colours and markers of a report's methods.
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

    /// The colour and marker of a method: fixed for a known method, else by its place among the others.
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
    /// The colour in CSS notation.
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
    fn no_two_of_eleven_methods_look_the_same() {
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
