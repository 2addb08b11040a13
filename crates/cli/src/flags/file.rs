//! Flags from a file: `--config my.toml`.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::CommandFactory;
use finetune::folder::Plan;
use serde_json::{Map, Value};

use super::Cli;
use crate::terminal::exit::Usage;

/// Puts a file's settings where its `--config` stands; what is typed goes before what the file says.
///
/// The file is TOML, or JSON where its name ends so, and holds flags without their dashes, `lr =
/// 0.01`, `methods = ["sft", "lora"]`. A finished run's `config.json` is left to the command.
///
/// # Errors
///
/// A file that cannot be read, and a key that the command does not know, with the nearest it does.
pub fn expand(mut typed: Vec<OsString>) -> Result<Vec<OsString>> {
    let flag = typed.iter().position(|argument| {
        argument == "--config"
            || argument
                .to_str()
                .is_some_and(|text| text.starts_with("--config="))
    });
    let (Some(at), Some(name)) = (flag, typed.get(1).and_then(|name| name.to_str())) else {
        return Ok(typed);
    };
    let app = Cli::command();
    let command = app.find_subcommand(name);
    let Some(command) = command.filter(|_| ["train", "compare", "inspect"].contains(&name)) else {
        return Ok(typed);
    };
    let text = typed[at].to_str().unwrap_or_default();
    let path = match (text.strip_prefix("--config="), typed.get(at + 1)) {
        (Some(path), _) => OsString::from(path),
        (None, Some(path)) => path.clone(),
        // clap says what is wrong.
        (None, None) => return Ok(typed),
    };
    let Some(settings) = read(Path::new(&path))? else {
        alone(&typed[2..], Path::new(&path))?;
        return Ok(typed);
    };
    let known: Vec<&str> = command
        .get_arguments()
        .filter_map(|argument| argument.get_long())
        .filter(|long| !["config", "resume", "help"].contains(long))
        .collect();
    let mut added = Vec::new();
    for (key, value) in settings {
        let long = key.replace('_', "-");
        if !known.contains(&long.as_str()) {
            let nearest = known.iter().max_by(|a, b| {
                strsim::jaro_winkler(&long, a).total_cmp(&strsim::jaro_winkler(&long, b))
            });
            let nearest = nearest.copied().unwrap_or_default();
            bail!(Usage(format!(
                "{}: {name} has no setting `{key}`; the nearest is `{}`",
                Path::new(&path).display(),
                nearest.replace('-', "_")
            )));
        }
        let flag = format!("--{long}");
        let is_typed = typed.iter().filter_map(|argument| argument.to_str());
        let mut is_typed =
            is_typed.map(|argument| argument == flag || argument.starts_with(&format!("{flag}=")));
        // Settings of methods add up.
        if long == "set" || !is_typed.any(|is| is) {
            added.extend(flags(&flag, &value));
        }
    }
    let count = if text == "--config" { 2 } else { 1 };
    typed.splice(at..at + count, added.into_iter().map(OsString::from));
    Ok(typed)
}

/// A finished run is done again as it was: what would change it is refused.
fn alone(typed: &[OsString], path: &Path) -> Result<()> {
    const WITH: [&str; 4] = ["--config", "--out", "--ui", "--json"];
    let other = typed
        .iter()
        .filter_map(|argument| argument.to_str())
        .filter(|argument| argument.starts_with("--"))
        .map(|argument| argument.split('=').next().unwrap_or(argument))
        .find(|flag| !WITH.contains(flag));
    match other {
        None => Ok(()),
        Some(flag) => bail!(Usage(format!(
            "{} is the configuration of a finished run, which is done again as it was; leave {flag} out, \
             or write what should differ into a file of settings",
            path.display()
        ))),
    }
}

/// The file's settings; `None` where it is the configuration of a run.
fn read(path: &Path) -> Result<Option<Map<String, Value>>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the configuration {}", path.display()))?;
    let wrong = |reason: String| {
        let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        Usage(format!("{} is no configuration: {line}", path.display()))
    };
    if path
        .extension()
        .is_none_or(|ending| !ending.eq_ignore_ascii_case("json"))
    {
        let settings = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        return Ok(Some(settings));
    }
    if serde_json::from_str::<Plan>(&text).is_ok() {
        return Ok(None);
    }
    let settings = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    Ok(Some(settings))
}

/// A setting as it would be typed.
fn flags(flag: &str, value: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match value {
        Value::Bool(true) => vec![flag.to_owned()],
        Value::Bool(false) | Value::Null => Vec::new(),
        Value::Array(items) if flag == "--set" => items
            .iter()
            .map(|item| format!("{flag}={}", text(item)))
            .collect(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(text).collect();
            vec![format!("{flag}={}", items.join(","))]
        }
        // `[set]` with `"lora.dora" = true`, or `[set.lora]` with `dora = true`.
        Value::Object(map) if flag == "--set" => map
            .iter()
            .flat_map(|(name, value)| match value {
                Value::Object(own) if !name.contains('.') => own
                    .iter()
                    .map(|(key, value)| format!("{flag}={name}.{key}={}", text(value)))
                    .collect(),
                value => vec![format!("{flag}={name}={}", text(value))],
            })
            .collect(),
        other => vec![format!("{flag}={}", text(other))],
    }
}
