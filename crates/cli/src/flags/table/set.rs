//! Settings of methods by name: `--set lora.dora=true`.

use anyhow::{Result, bail};
use finetune::config::defaults;
use finetune::config::settings::of;
use finetune_files::{meant, quoted, unknown};
use finetune_methods::Method;
use serde_json::Value;

use crate::terminal::exit::Usage;

/// A method with those of the settings that are for it.
///
/// # Errors
///
/// A setting is not of the form `METHOD.KEY=VALUE`, no method or setting has that name, or the value
/// has the wrong type.
pub(super) fn apply(method: &Method, typed: &[String]) -> Result<Method> {
    let mut value = serde_json::to_value(method)?;
    for setting in typed {
        let Some(((name, key), text)) = setting
            .split_once('=')
            .and_then(|(name, text)| Some((name.split_once('.')?, text)))
        else {
            bail!(Usage(format!(
                "--set {}: write METHOD.KEY=VALUE, for example lora.dora=true",
                quoted(setting)
            )));
        };
        let Some((named, _)) = defaults::method(name) else {
            let there_is_none = unknown("method", name, &defaults::all_methods());
            bail!(Usage(format!("--set {}: {there_is_none}", quoted(setting))));
        };
        let keys = keys(&named)?;
        if !keys.iter().any(|known| known == key) {
            let meant = meant(key, keys.iter().map(String::as_str));
            bail!(Usage(if keys.is_empty() {
                format!("--set {}: {name} has no settings", quoted(setting))
            } else {
                let all = keys.join(", ");
                let key = quoted(key);
                format!("{name} has no setting {key} (--set){meant}; it has {all}")
            }));
        }
        if named.name() != method.name() {
            continue;
        }
        // JSON if it is valid JSON (numbers, true, {"fc1": 4}), text otherwise.
        let new = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
        value[key] = new;
        if let Err(error) = serde_json::from_value::<Method>(value.clone()) {
            bail!(Usage(format!("--set {}: {error}", quoted(setting))));
        }
    }
    Ok(serde_json::from_value(value)?)
}

fn keys(method: &Method) -> Result<Vec<String>> {
    Ok(of(method)?.into_iter().map(|(name, _)| name).collect())
}
