//! Checks that several methods make of their settings.

use crate::error::MethodError;
use crate::inspect::Layer;

/// The largest rank, width or number of prompts: ten times what the widest layer has room for. More
/// would not fit into memory.
const LARGEST: usize = 1 << 16;

pub(crate) fn rank(rank: usize) -> Result<(), MethodError> {
    count("rank", rank)
}

/// Rejects a number that decides how large tensors are if it is 0 or far too large.
pub(crate) fn count(name: &'static str, value: usize) -> Result<(), MethodError> {
    at_least_one(name, value)?;
    if value > LARGEST {
        return Err(setting(name, value, "at most 65536"));
    }
    Ok(())
}

/// Rejects a rank that no layer has room for. A layer with less room gets a lower rank.
pub(crate) fn rank_fits(rank: usize, layers: &[&Layer]) -> Result<(), MethodError> {
    let largest = |layer: &&&Layer| layer.shape.inputs.min(layer.shape.outputs);
    match layers.iter().max_by_key(largest) {
        Some(layer) if rank > largest(&layer) => Err(MethodError::RankTooLarge {
            rank,
            limit: largest(&layer),
            path: layer.path.clone(),
        }),
        _ => Ok(()),
    }
}

pub(crate) fn at_least_one(name: &'static str, value: usize) -> Result<(), MethodError> {
    if value == 0 {
        return Err(setting(name, value, "at least 1"));
    }
    Ok(())
}

/// Rejects what is not finite in the precision of the weights.
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn finite(name: &'static str, value: f64) -> Result<(), MethodError> {
    if !value.is_finite() {
        return Err(setting(name, value, "a finite number"));
    }
    if !(value as f32).is_finite() {
        return Err(setting(name, value, "at most 3e38, positive or negative"));
    }
    Ok(())
}

/// Rejects what is not above 0 and finite in the precision of the weights.
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn positive(name: &'static str, value: f64) -> Result<(), MethodError> {
    let value_f32 = value as f32;
    if !(value_f32.is_finite() && value_f32 > 0.0) {
        return Err(setting(name, value, "above 0 and at most 3e38"));
    }
    Ok(())
}

pub(crate) fn dropout(value: f64) -> Result<(), MethodError> {
    if !(0.0..1.0).contains(&value) {
        return Err(setting("dropout", value, "at least 0 and below 1"));
    }
    Ok(())
}

pub(crate) fn share(name: &'static str, value: f64) -> Result<(), MethodError> {
    if !(0.0..=1.0).contains(&value) {
        return Err(setting(name, value, "from 0 to 1"));
    }
    Ok(())
}

#[allow(clippy::needless_pass_by_value)] // numbers
pub(crate) fn setting(
    name: &'static str,
    value: impl std::fmt::Display,
    wanted: &'static str,
) -> MethodError {
    MethodError::Setting {
        name,
        value: format!("{value}"),
        wanted,
    }
}
