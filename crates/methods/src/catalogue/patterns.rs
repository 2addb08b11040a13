//! Ranks and alphas of single layers, by patterns of their paths.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, json};

use super::check;
use crate::error::MethodError;
use crate::hf_peft::Writer;
use crate::inspect::{Layer, nearest, regex};

/// The rank and the alpha of layers, by regular expressions for the ends of their paths.
#[derive(Clone, Copy)]
pub(super) struct Patterns<'a> {
    /// Rank of a layer that no pattern names.
    pub(super) rank: usize,
    /// Alpha of a layer that no pattern names.
    pub(super) alpha: f64,
    pub(super) ranks: &'a BTreeMap<String, usize>,
    pub(super) alphas: &'a BTreeMap<String, f64>,
}

/// Gives the settings of a method its `patterns`.
macro_rules! has_patterns {
    ($config:ty) => {
        impl $config {
            fn patterns(&self) -> Patterns<'_> {
                Patterns {
                    rank: self.rank,
                    alpha: self.alpha,
                    ranks: &self.rank_pattern,
                    alphas: &self.alpha_pattern,
                }
            }
        }
    };
}

pub(super) use has_patterns;

impl Patterns<'_> {
    /// The rank of a layer.
    pub(super) fn rank_of(&self, path: &str) -> usize {
        matching(self.ranks, path).unwrap_or(self.rank)
    }

    /// The alpha of a layer.
    pub(super) fn alpha_of(&self, path: &str) -> f64 {
        matching(self.alphas, path).unwrap_or(self.alpha)
    }

    /// The factor `alpha / rank` of a layer.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn scale_of(&self, path: &str) -> f64 {
        self.alpha_of(path) / self.rank_of(path) as f64
    }

    /// Checks the numbers, and that each pattern names a layer if there are any.
    pub(super) fn check(&self, layers: &[&Layer]) -> Result<(), MethodError> {
        check::rank(self.rank)?;
        check::finite("alpha", self.alpha)?;
        for rank in self.ranks.values() {
            check::rank(*rank)?;
        }
        for alpha in self.alphas.values() {
            check::finite("alpha", *alpha)?;
        }
        for pattern in self.ranks.keys().chain(self.alphas.keys()) {
            let regex = suffix(pattern)?;
            if !layers.is_empty() && !layers.iter().any(|layer| regex.is_match(&layer.path)) {
                let paths = layers.iter().map(|layer| layer.path.as_str());
                return Err(MethodError::NothingMatched {
                    pattern: pattern.clone(),
                    nearest: nearest(pattern, paths, 3),
                });
            }
        }
        Ok(())
    }

    /// Writes `r`, `alpha` and, if a layer differs from them, the patterns of PEFT's `LyCORIS` types.
    pub(super) fn write(&self, to: &mut Writer<'_>) {
        let (mut ranks, mut alphas) = (Map::new(), Map::new());
        for (name, layer) in &to.layers {
            let (rank, alpha) = (self.rank_of(&layer.path), self.alpha_of(&layer.path));
            if rank != self.rank {
                ranks.insert(exactly(name), json!(rank));
            }
            #[allow(clippy::float_cmp)] // given, not computed
            if alpha != self.alpha {
                alphas.insert(exactly(name), json!(alpha));
            }
        }
        to.insert(json!({ "r": self.rank, "alpha": self.alpha }));
        for (key, table) in [("rank_pattern", ranks), ("alpha_pattern", alphas)] {
            if !table.is_empty() {
                to.insert(json!({ key: table }));
            }
        }
    }
}

/// The layers that were read from a file, with the rank and the alpha of each.
pub(super) type Found = Vec<(String, usize, f64)>;

/// The patterns of the layers that differ from the usual rank and alpha.
pub(super) fn of_found(
    found: &Found,
    (rank, alpha): (usize, f64),
) -> (BTreeMap<String, usize>, BTreeMap<String, f64>) {
    let ranks = found.iter().filter(|(_, own, _)| *own != rank);
    #[allow(clippy::float_cmp)] // given, not computed
    let alphas = found.iter().filter(|(_, _, own)| *own != alpha);
    (
        ranks.map(|(path, own, _)| (exactly(path), *own)).collect(),
        alphas.map(|(path, _, own)| (exactly(path), *own)).collect(),
    )
}

/// A pattern that names a single layer.
pub(super) fn exactly(path: &str) -> String {
    format!("^{}", regex::escape(path))
}

/// The value of the first pattern that matches the end of a layer's path.
fn matching<T: Copy>(patterns: &BTreeMap<String, T>, path: &str) -> Option<T> {
    patterns
        .iter()
        .find(|(pattern, _)| suffix(pattern).is_ok_and(|regex| regex.is_match(path)))
        .map(|(_, value)| *value)
}

/// A pattern as HF PEFT reads it: it must match the path or its end after a dot.
fn suffix(pattern: &str) -> Result<Regex, MethodError> {
    regex(&format!(r"^(.*\.)?({pattern})$"))
}
