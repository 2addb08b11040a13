//! The rank and the alpha of each layer: `r`, an alpha, `rank_pattern` and `alpha_pattern`.

use finetune_files::quoted;
use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::settings::{Settings, count_of, number_of, rejected, shown};
use crate::error::MethodError;

/// The most patterns of a table: ten times what the models have layers.
const MOST_PATTERNS: usize = 2000;

/// The longest pattern, and the most bytes of a compiled one: what the longest path needs.
const LONGEST: usize = 1000;
const MOST_BYTES: usize = 1 << 18;

/// The ranks and alphas that a configuration gives to layers, by their names in `PyTorch`.
pub(crate) struct Ranks {
    rank: usize,
    alpha: f64,
    rank_pattern: Patterns<usize>,
    alpha_pattern: Patterns<f64>,
}

impl Ranks {
    /// Reads them; `alpha` is the name of the setting with the usual alpha.
    pub(crate) fn read(settings: &Settings<'_>, alpha: &str) -> Result<Self, MethodError> {
        let positive = "a whole number above 0";
        Ok(Self {
            rank: settings.or("r", Settings::count)?.unwrap_or(8),
            alpha: settings.or(alpha, Settings::number)?.unwrap_or(8.0),
            rank_pattern: Patterns::read(settings, "rank_pattern", positive, count_of)?,
            alpha_pattern: Patterns::read(settings, "alpha_pattern", "a number", number_of)?,
        })
    }

    /// The usual rank and alpha.
    pub(crate) fn usual(&self) -> (usize, f64) {
        (self.rank, self.alpha)
    }

    /// The rank and the alpha of a layer.
    pub(crate) fn of(&self, layer: &str) -> (usize, f64) {
        let rank = self.rank_pattern.of(layer).unwrap_or(self.rank);
        (rank, self.alpha_pattern.of(layer).unwrap_or(self.alpha))
    }

    /// The rank and the alpha of a layer whose factors have the rank `found`.
    pub(crate) fn checked(&self, layer: &str, found: usize) -> Result<(usize, f64), MethodError> {
        let (rank, alpha) = self.of(layer);
        if found == rank {
            return Ok((rank, alpha));
        }
        Err(MethodError::OtherBase {
            difference: format!(
                "its factors of {} have the rank {found}, but its configuration gives them {rank}",
                quoted(layer)
            ),
        })
    }
}

/// Values by patterns, in the order of the file.
struct Patterns<T>(Vec<(Regex, T)>);

impl<T: Copy> Patterns<T> {
    fn read(
        settings: &Settings<'_>,
        name: &str,
        wanted: &str,
        read: fn(&Value) -> Option<T>,
    ) -> Result<Self, MethodError> {
        let map = match settings.get(name) {
            None | Some(Value::Null) => return Ok(Self(Vec::new())),
            Some(Value::Object(map)) => map,
            Some(other) => {
                let found = shown(other);
                return Err(rejected(format!(
                    "`{name}` is {found}, but must be a table"
                )));
            }
        };
        if map.len() > MOST_PATTERNS {
            return Err(rejected(format!(
                "`{name}` has {} patterns; at most {MOST_PATTERNS} are supported",
                map.len()
            )));
        }
        // The first pattern that matches counts, as in PEFT.
        let order = settings.order.of_table(name);
        let place = |pattern: &str| order.iter().position(|known| known == pattern);
        let mut entries: Vec<(&String, &Value)> = map.iter().collect();
        entries.sort_by_key(|(pattern, _)| place(pattern));
        let compiled = entries.into_iter().map(|(pattern, value)| {
            let value = read(value).ok_or_else(|| {
                let (pattern, found) = (quoted(pattern), shown(value));
                rejected(format!(
                    "`{name}` gives {pattern} {found}, but it must be {wanted}"
                ))
            })?;
            Ok((suffix(name, pattern)?, value))
        });
        Ok(Self(compiled.collect::<Result<_, _>>()?))
    }

    fn of(&self, layer: &str) -> Option<T> {
        let mut patterns = self.0.iter();
        let found = patterns.find(|(pattern, _)| pattern.is_match(layer));
        found.map(|(_, value)| *value)
    }
}

/// A pattern as PEFT's `get_pattern_key` reads it: it must match the name or its end after a dot.
fn suffix(setting: &str, pattern: &str) -> Result<Regex, MethodError> {
    if pattern.len() > LONGEST {
        let pattern = quoted(pattern);
        return Err(rejected(format!(
            "`{setting}` has the pattern {pattern}, which is longer than {LONGEST} bytes"
        )));
    }
    let whole = format!(r"^(.*\.)?({pattern})$");
    let compiled = RegexBuilder::new(&whole).size_limit(MOST_BYTES).build();
    compiled.map_err(|error| {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim();
        rejected(format!(
            "`{setting}` has the pattern {}, which cannot be read: {reason}",
            quoted(pattern)
        ))
    })
}
