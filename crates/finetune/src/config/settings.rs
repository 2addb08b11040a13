//! Settings of methods by name.

use anyhow::Result;
use finetune_methods::Method;
use serde_json::Value;

/// A method's settings and their values, in the order of the alphabet.
///
/// # Errors
///
/// None for the methods there are.
pub fn of(method: &Method) -> Result<Vec<(String, Value)>> {
    let Value::Object(map) = serde_json::to_value(method)? else {
        return Ok(Vec::new());
    };
    let settings = map.into_iter().filter(|(name, _)| name != "method");
    Ok(settings.collect())
}
