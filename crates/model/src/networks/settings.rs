//! What the configurations of transformers say about a network besides the shapes of its tensors.

use std::fmt;

/// The settings of a network, by the names that transformers has for them.
pub type Settings = Vec<(&'static str, Setting)>;

/// The value of a setting.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// A number.
    Number(f64),
    /// A number for each stage.
    Numbers(Vec<f64>),
    /// Yes or no.
    Flag(bool),
    /// One of several words.
    Word(&'static str),
}

impl Setting {
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn count(count: usize) -> Self {
        Self::Number(count as f64)
    }

    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn counts(counts: &[usize]) -> Self {
        Self::Numbers(counts.iter().map(|count| *count as f64).collect())
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Numbers(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(f64::to_string).collect();
                write!(f, "[{}]", numbers.join(","))
            }
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Word(word) => f.write_str(word),
        }
    }
}
