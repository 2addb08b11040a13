//! The order of patterns in `adapter_config.json`.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

/// The patterns in the order of a file, which decides between several that match; `serde_json` sorts
/// them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Order {
    #[serde(deserialize_with = "keys")]
    rank_pattern: Vec<String>,
    #[serde(deserialize_with = "keys")]
    alpha_pattern: Vec<String>,
}

impl Order {
    /// Reads it from the text of `adapter_config.json`.
    pub(super) fn read(config: &str) -> Self {
        // What is not a table is reported when the settings are read.
        serde_json::from_str(config).unwrap_or_default()
    }

    /// Puts a pattern before all others of a table.
    pub(super) fn first(&mut self, name: &str, pattern: &str) {
        let table = if name == "rank_pattern" {
            &mut self.rank_pattern
        } else {
            &mut self.alpha_pattern
        };
        table.insert(0, pattern.to_owned());
    }

    pub(super) fn of_table(&self, name: &str) -> &[String] {
        if name == "rank_pattern" {
            &self.rank_pattern
        } else {
            &self.alpha_pattern
        }
    }
}

fn keys<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    struct Keys;
    impl<'de> Visitor<'de> for Keys {
        type Value = Vec<String>;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("a table")
        }

        fn visit_unit<E>(self) -> Result<Vec<String>, E> {
            Ok(Vec::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
            let mut keys = Vec::new();
            while let Some((key, _)) = map.next_entry::<String, IgnoredAny>()? {
                keys.push(key);
            }
            Ok(keys)
        }
    }
    from.deserialize_any(Keys)
}
