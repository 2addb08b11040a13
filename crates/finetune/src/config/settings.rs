//! Settings of methods by name.

use finetune_methods::Method;
use serde_json::Value;

use crate::error::Error;

/// A method's settings and their values, in alphabetical order.
///
/// # Errors
///
/// None for the methods of this version.
pub fn of(method: &Method) -> Result<Vec<(String, Value)>, Error> {
    let Value::Object(map) = serde_json::to_value(method)? else {
        return Ok(Vec::new());
    };
    let settings = map.into_iter().filter(|(name, _)| name != "method");
    Ok(settings.collect())
}
