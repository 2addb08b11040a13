//! Flags that take one of a few values, each with an explanation.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser, ValueParser};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::variants;

/// A value that can be typed.
#[derive(Debug, Clone)]
pub(in crate::flags) struct Choice<T> {
    name: &'static str,
    alias: Option<&'static str>,
    value: T,
    help: &'static str,
}

/// A value of an enum of a library, under the name that it has in configuration files.
pub(in crate::flags) fn of<T: Serialize + DeserializeOwned>(
    value: T,
    help: &'static str,
) -> Choice<T> {
    let name = serde_json::to_value(&value).ok();
    let mut variants = variants::of::<T>().iter();
    let variant = variants.find(|variant| name.as_ref().is_some_and(|name| name == *variant));
    named(variant.copied().unwrap_or_default(), value, help)
}

/// A value under a name of its own.
pub(in crate::flags) fn named<T>(name: &'static str, value: T, help: &'static str) -> Choice<T> {
    Choice {
        name,
        alias: None,
        value,
        help,
    }
}

impl<T: Clone + Send + Sync + 'static> Choice<T> {
    /// Accepts another name as well, which help does not show.
    pub(in crate::flags) fn alias(mut self, name: &'static str) -> Self {
        self.alias = Some(name);
        self
    }

    fn possible(&self) -> PossibleValue {
        PossibleValue::new(self.name)
            .help(self.help)
            .aliases(self.alias)
    }

    /// Parses the names of these values.
    pub(in crate::flags) fn parser(choices: Vec<Self>) -> ValueParser {
        let names = PossibleValuesParser::new(choices.iter().map(Self::possible));
        let parser = names.try_map(move |typed| {
            let mut choices = choices.iter();
            let choice =
                choices.find(|choice| choice.name == typed || choice.alias == Some(typed.as_str()));
            choice
                .map(|choice| choice.value.clone())
                .ok_or("it is not one of the values")
        });
        ValueParser::new(parser)
    }
}
