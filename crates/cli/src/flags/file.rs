//! Settings from a file: `--config my.toml`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use finetune_files::{meant, quoted, quoted_path, read_text};
use serde_json::{Map, Value};

use super::define::{Effect, Flag};
use super::shared::Said;
use super::table::{self, CONFIG, RESUME};
use super::task::Task;
use crate::terminal::exit::Usage;

/// The size of the largest file of settings, bytes: a `config.json` of thousands of runs.
const LARGEST: u64 = 64 << 20;

/// Replaces `--config FILE` by the flags that the file holds, except for those that are typed as
/// well.
///
/// The file is JSON if its name ends in `.json`, otherwise TOML. Its keys are the flags' names:
/// `lr = 0.01`, `methods = ["sft", "lora"]`. The `config.json` of a finished run stays what it is;
/// the command repeats the run.
///
/// # Errors
///
/// The file cannot be read, or it has a key that is not a flag of the command.
pub fn expand(mut typed: Vec<OsString>) -> Result<Vec<OsString>> {
    let Some(((at, task), found)) = task(&typed).zip(Found::in_arguments(&typed)) else {
        return Ok(typed);
    };
    let flags = table::flags(task);
    let Some(settings) = read(&found.path)? else {
        check_repetition(&flags, &typed[at + 1..], &found.path)?;
        return Ok(typed);
    };
    let mut added = Vec::new();
    for (key, value) in settings {
        let flag = find(&flags, &key).map_err(|meant| {
            Usage(format!(
                "{}: {} has no setting {}{}",
                quoted_path(&found.path),
                task.name(),
                quoted(&key),
                if meant.is_empty() {
                    format!("; `finetune {} --help` lists all", task.name())
                } else {
                    meant
                }
            ))
        })?;
        let mut names = typed.iter().filter_map(|argument| name(argument));
        if flag.is_repeatable() || !names.any(|name| name == flag.name) {
            added.extend(arguments(flag, &value).into_iter().map(OsString::from));
        }
    }
    typed.splice(found.at..found.at + found.length, added);
    Ok(typed)
}

/// The command and where it stands, if it reads files of settings.
fn task(typed: &[OsString]) -> Option<(usize, Task)> {
    let mut typed = typed.iter().enumerate().skip(1);
    let (at, name) = typed.find(|(_, argument)| !is_about_messages(argument))?;
    let task = Task::ALL.into_iter().find(|task| name == task.name())?;
    Some((at, task))
}

/// Whether an argument says how much is printed, which may stand anywhere.
fn is_about_messages(argument: &OsString) -> bool {
    Said::TYPED.iter().any(|name| argument == name)
}

/// `--config FILE` among the arguments.
struct Found {
    at: usize,
    /// Number of arguments.
    length: usize,
    path: PathBuf,
}

impl Found {
    /// `None` if the file is missing, which clap reports.
    fn in_arguments(typed: &[OsString]) -> Option<Self> {
        let mut names = typed.iter().map(|argument| name(argument));
        let at = names.position(|name| name == Some(CONFIG))?;
        let joined = typed[at].to_str().and_then(|text| text.split_once('='));
        Some(match joined {
            Some((_, path)) => Self {
                at,
                length: 1,
                path: path.into(),
            },
            None => Self {
                at,
                length: 2,
                path: typed.get(at + 1)?.into(),
            },
        })
    }
}

/// The name of a typed flag, without dashes and value.
fn name(argument: &OsString) -> Option<&str> {
    let flag = argument.to_str()?.strip_prefix("--")?;
    Some(flag.split('=').next().unwrap_or(flag))
}

/// The flag of a key, or a question about the one that was probably meant.
fn find<'a>(flags: &'a [Flag], key: &str) -> Result<&'a Flag, String> {
    let name = key.replace('_', "-");
    let flags = flags
        .iter()
        .filter(|flag| ![CONFIG, RESUME].contains(&flag.name));
    if let Some(flag) = flags.clone().find(|flag| flag.name == name) {
        return Ok(flag);
    }
    // Keys of files are written with underscores.
    let keys: Vec<String> = flags.map(|flag| flag.name.replace('-', "_")).collect();
    Err(meant(key, keys.iter().map(String::as_str)))
}

/// Checks that nothing is typed that would change a run that is repeated from its `config.json`.
fn check_repetition(flags: &[Flag], typed: &[OsString], path: &Path) -> Result<()> {
    let of_process = |name: &&str| {
        let mut flags = flags.iter();
        flags.any(|flag| flag.name == *name && matches!(flag.effect, Effect::Process(_)))
    };
    let others = typed.iter().filter(|argument| !is_about_messages(argument));
    let mut names = others.filter_map(name);
    match names.find(|name| !of_process(name)) {
        None => Ok(()),
        Some(name) => bail!(Usage(format!(
            "{} is the configuration of a finished run, which is repeated as it was; leave --{name} \
             out, or write what should differ into a file of settings",
            path.display()
        ))),
    }
}

/// The file's settings; `None` if it is the configuration of runs.
fn read(path: &Path) -> Result<Option<Map<String, Value>>> {
    let text = read_text(path, LARGEST)
        .with_context(|| format!("cannot read the configuration {}", quoted_path(path)))?;
    let invalid = |reason: String| {
        let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        Usage(format!(
            "{} is not a valid configuration: {line}",
            path.display()
        ))
    };
    let is_json = |ending: &std::ffi::OsStr| ending.eq_ignore_ascii_case("json");
    if !path.extension().is_some_and(is_json) {
        let settings = toml::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        return Ok(Some(settings));
    }
    let settings: Map<String, Value> =
        serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
    // No flag is called like that. Whether the runs are valid is checked by whoever repeats them.
    Ok((!settings.contains_key("runs")).then_some(settings))
}

/// A setting as it would be typed.
fn arguments(flag: &Flag, value: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let typed = |value: &str| format!("{flag}={value}");
    match value {
        Value::Bool(true) => vec![format!("{flag}")],
        Value::Bool(false) | Value::Null => Vec::new(),
        Value::Array(items) if flag.is_repeatable() => {
            items.iter().map(|item| typed(&text(item))).collect()
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(text).collect();
            vec![typed(&items.join(","))]
        }
        // `[set]` with `"lora.dora" = true`, or `[set.lora]` with `dora = true`.
        Value::Object(map) if flag.is_repeatable() => map
            .iter()
            .flat_map(|(name, value)| match value {
                Value::Object(own) if !name.contains('.') => own
                    .iter()
                    .map(|(key, value)| typed(&format!("{name}.{key}={}", text(value))))
                    .collect(),
                value => vec![typed(&format!("{name}={}", text(value)))],
            })
            .collect(),
        other => vec![typed(&text(other))],
    }
}
