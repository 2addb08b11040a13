//! `models`: which models there are, how large they are, and where their weights come from.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Result, bail};
use finetune::config::defaults;
use finetune::evaluation::bytes;
use finetune::evaluation::format::count;
use finetune::machine::device::device;
use finetune::machine::rates::{Rates, step_bytes};
use finetune::weights::{Published, has_own};
use finetune_files::{quoted_path, unknown};
use finetune_model::{ARCHITECTURES, Architecture, Figures, Sizes};
use serde::Serialize;

use crate::flags::ModelsArgs;
use crate::terminal::exit::Usage;
use crate::terminal::output::{say, say_json};

/// Columns of text that is wrapped.
const WIDTH: usize = 79;

/// A model as it is listed.
#[derive(Debug, Serialize)]
struct Listed {
    name: &'static str,
    family: &'static str,
    aliases: &'static [&'static str],
    /// Pixels per side.
    image_size: usize,
    /// Without the head.
    parameters: usize,
    /// Of a forward pass for one image, without the head.
    multiply_accumulates: u64,
    estimate: Estimate,
    /// Whether it starts from weights of its own.
    own_weights: bool,
    /// The weights that are published for it.
    weights: Option<Weights>,
}

/// What a step that trains all weights is estimated to need on this machine.
#[derive(Debug, Clone, Copy, Serialize)]
struct Estimate {
    batch_size: usize,
    memory_bytes: u64,
    step_seconds: f64,
}

#[derive(Debug, Serialize)]
struct Weights {
    repository: String,
    link: String,
    /// Where the file can be put instead of being downloaded.
    place: Option<PathBuf>,
    licence: Option<&'static str>,
}

/// `finetune models`.
///
/// # Errors
///
/// No model has such a name.
pub fn models(args: &ModelsArgs) -> Result<()> {
    let found = matching(args.pattern.as_deref().unwrap_or_default());
    if found.is_empty() {
        let pattern = args.pattern.as_deref().unwrap_or_default();
        let names: Vec<&str> = ARCHITECTURES.iter().map(|one| one.name).collect();
        bail!(Usage(unknown("model", pattern, &names)));
    }
    let rates = Rates::measure(&device("cpu")?);
    let batch = args.batch_size.get();
    let listed: Vec<Listed> = found
        .iter()
        .zip(Figures::of_all(&found))
        .map(|(architecture, figures)| Listed::of(architecture, figures, rates, batch))
        .collect();
    if args.printed.json {
        return say_json(&listed);
    }
    match (found.as_slice(), listed.as_slice()) {
        ([architecture], [one]) => say(&details(architecture, one)),
        _ => say(&table(&listed, batch)),
    }
}

/// The models whose name or alias is `pattern`; if there is none, those in which it occurs.
fn matching(pattern: &str) -> Vec<&'static Architecture> {
    let lower = pattern.to_lowercase();
    let of = |wanted: &dyn Fn(&str) -> bool| -> Vec<&'static Architecture> {
        let mut found = ARCHITECTURES.iter().collect::<Vec<_>>();
        found.retain(|one| wanted(one.name) || one.aliases.iter().any(|alias| wanted(alias)));
        found
    };
    let exact = of(&|name| name == pattern);
    if exact.is_empty() {
        return of(&|name| name.to_lowercase().contains(&lower));
    }
    exact
}

impl Listed {
    fn of(architecture: &Architecture, figures: Figures, rates: Rates, batch_size: usize) -> Self {
        let published = Published::of(architecture.name);
        Self {
            name: architecture.name,
            family: architecture.family(),
            aliases: architecture.aliases,
            image_size: architecture.image_size,
            parameters: figures.parameters,
            multiply_accumulates: figures.multiply_accumulates,
            estimate: Estimate {
                batch_size,
                memory_bytes: step_bytes(&figures, batch_size),
                step_seconds: rates.step_seconds(&figures, batch_size),
            },
            own_weights: has_own(architecture.name),
            weights: published.map(|published| Weights {
                repository: published.repository(),
                link: published.link(),
                place: published.place().ok(),
                licence: published.licence,
            }),
        }
    }
}

/// All models, by families.
fn table(listed: &[Listed], batch: usize) -> String {
    let names = listed.iter().map(|one| one.name.len()).max().unwrap_or(0);
    let names = names.max("model".len());
    let mut text = format!(
        "{:<names$}  {:>6}  {:>7}  {:>7}  {:>8}  {:>6}\n",
        "model", "pixels", "params", "MACs", "memory", "step"
    );
    let mut family = "";
    for one in listed {
        if family != one.family {
            family = one.family;
            text.push('\n');
        }
        let _ = writeln!(
            text,
            "{:<names$}  {:>6}  {:>7}  {:>7}  {:>8}  {:>6}",
            one.name,
            one.image_size,
            short(one.parameters as u64),
            short(one.multiply_accumulates),
            bytes(one.estimate.memory_bytes),
            roughly(one.estimate.step_seconds)
        );
    }
    let notes = format!(
        "params and MACs (multiply-accumulates for one image) are without the head. memory and step are \
         estimates for a step that trains all weights with a batch of {batch} in float32: from layers and \
         the speed of this CPU, measured a moment ago. Adapters and frozen weights need less. `finetune \
         models NAME` shows one model and its weights."
    );
    let _ = write!(text, "\n{}", wrapped(&notes, 0));
    text
}

/// Everything about one model.
fn details(architecture: &Architecture, one: &Listed) -> String {
    let mut rows: Vec<(&str, String)> = vec![("family", one.family.to_owned())];
    if !one.aliases.is_empty() {
        rows.push(("also called", one.aliases.join(", ")));
    }
    let side = one.image_size;
    let sizes = match architecture.sizes {
        Sizes::Fixed => String::new(),
        Sizes::From(least) => format!(", or any size from {least}"),
        Sizes::MultipleOf(patch) => format!(", or another multiple of {patch}"),
    };
    rows.push(("images", format!("{side}×{side} pixels{sizes}")));
    let filter = format!("{:?}", architecture.filter).to_lowercase();
    let crop = f64::from(architecture.crop);
    rows.push((
        "resizing",
        format!("{filter}, then the centre: {crop:.3} of the shorter side"),
    ));
    rows.push((
        "parameters",
        format!("{}, without the head", count(one.parameters as u64)),
    ));
    rows.push((
        "MACs",
        format!(
            "{} (multiply-accumulates for one image)",
            short(one.multiply_accumulates)
        ),
    ));
    let Estimate {
        batch_size,
        memory_bytes,
        step_seconds,
    } = one.estimate;
    rows.push((
        "a step",
        format!(
            "about {} and {} for a batch of {batch_size} if all weights train in float32: estimates from \
             layers and the measured speed of this CPU",
            bytes(memory_bytes),
            roughly(step_seconds)
        ),
    ));
    rows.push((
        "tensors",
        format!("names of {}", architecture.libraries().join(", ")),
    ));
    if one.own_weights {
        let text = match one.name {
            defaults::MODEL => "inside the program",
            _ => "in the cache folder, made when they are first needed",
        };
        rows.push(("weights", text.to_owned()));
    } else if one.weights.is_none() {
        let text = format!(
            "none are known; give a file with --weights FILE, or make one: finetune pretrain --model {} \
             --out FILE",
            one.name
        );
        rows.push(("weights", text));
    }
    if let Some(weights) = &one.weights {
        let licence = weights
            .licence
            .map_or_else(String::new, |licence| format!(" ({licence})"));
        let default = if one.own_weights {
            ""
        } else {
            ", used if there is no --weights"
        };
        rows.push((
            "published",
            format!("{}{licence}{default}", weights.repository),
        ));
        rows.push(("download", weights.link.clone()));
        if let Some(place) = &weights.place {
            let is = if place.exists() {
                "it is there"
            } else {
                "it is not there"
            };
            rows.push(("put it at", format!("{} ({is})", quoted_path(place))));
        }
    }
    let mut text = format!("{}\n", one.name);
    for (label, value) in rows {
        let _ = writeln!(text, "  {label:<11}  {}", wrapped(&value, 15).trim_start());
    }
    text.trim_end().to_owned()
}

/// Words in lines of at most [`WIDTH`] columns, each indented; a word that is longer has a line of its own.
fn wrapped(text: &str, indent: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last().map_or("", String::as_str);
        let columns = indent + line.chars().count() + 1 + word.chars().count();
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if columns <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    let pad = " ".repeat(indent);
    let lines: Vec<String> = lines.iter().map(|line| format!("{pad}{line}")).collect();
    lines.join("\n")
}

/// A number with three digits: `11.2 M`, `1.81 G`.
#[allow(clippy::cast_precision_loss)]
fn short(number: u64) -> String {
    const UNITS: [&str; 5] = ["", "k", "M", "G", "T"];
    let (mut value, mut unit) = (number as f64, 0);
    // 999.5 would be shown as 1000.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = match value {
        _ if unit == 0 => 0,
        _ if value < 9.995 => 2,
        _ if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {}", UNITS[unit])
        .trim_end()
        .to_owned()
}

/// A duration that is an estimate, of at most two digits: `34 ms`, `1.2 s`, `350 s`.
fn roughly(value: f64) -> String {
    let shown = |value: f64, unit: &str| {
        let scale = 10_f64.powf(1.0 - value.max(1.0).log10().floor());
        let value = (value * scale).round() / scale;
        let digits = usize::from(value < 9.95);
        format!("{value:.digits$} {unit}")
    };
    if value < 0.995 {
        shown(value * 1e3, "ms")
    } else {
        shown(value, "s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let cases = [
            (7, "7"),
            (999, "999"),
            (1000, "1.00 k"),
            (11_176_512, "11.2 M"),
            (999_600, "1.00 M"),
            (1_813_561_344, "1.81 G"),
            (142_000_000_000, "142 G"),
        ];
        for (number, shown) in cases {
            assert_eq!(short(number), shown);
        }
        let cases = [
            (0.000_04, "0.0 ms"),
            (0.0345, "35 ms"),
            (0.1234, "120 ms"),
            (0.999, "1.0 s"),
            (1.234, "1.2 s"),
            (14.4, "14 s"),
            (347.0, "350 s"),
        ];
        for (value, shown) in cases {
            assert_eq!(roughly(value), shown);
        }
    }

    #[test]
    fn names_patterns_and_aliases_narrow_the_list() {
        let names = |pattern: &str| -> Vec<&str> {
            matching(pattern).into_iter().map(|one| one.name).collect()
        };
        assert_eq!(names("resnet8"), ["resnet8"]);
        assert_eq!(names("mobilenetv2_100"), ["mobilenet_v2"]);
        assert!(names("DINOv2").len() > 3);
        assert!(names("no such").is_empty());
        assert_eq!(names("").len(), ARCHITECTURES.len());
    }

    #[test]
    fn text_is_wrapped_and_nothing_is_lost() {
        let text = "word ".repeat(60) + &"x".repeat(100);
        let shown = wrapped(&text, 4);
        assert!(shown.lines().all(|line| line.starts_with("    ")));
        let long = |line: &&str| line.chars().count() > WIDTH;
        assert_eq!(shown.lines().filter(long).count(), 1);
        assert_eq!(shown.split_whitespace().count(), 61);
    }
}
