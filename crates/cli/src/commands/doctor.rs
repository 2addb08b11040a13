//! `doctor`: what this machine offers, and what is wrong with it.

use anyhow::{Result, bail};
use finetune::evaluation::bytes;
use finetune::machine::health::{Examined, Health, Place};

use crate::flags::DoctorArgs;
use crate::terminal::output::{say, say_json};

/// `finetune doctor`.
///
/// # Errors
///
/// Something does not work that every command needs; what is known is printed first.
pub fn doctor(args: &DoctorArgs) -> Result<()> {
    let health = Health::examine(&args.out);
    if args.printed.json {
        say_json(&health)?;
    } else {
        say(&shown(&health))?;
    }
    let serious = health.problems.iter().filter(|problem| problem.serious);
    match serious.count() {
        0 => Ok(()),
        1 => bail!("1 problem makes commands fail"),
        many => bail!("{many} problems make commands fail"),
    }
}

fn shown(health: &Health) -> String {
    let mut lines = rows(health)
        .into_iter()
        .map(|(label, text)| format!("{label:<10} {text}"))
        .collect::<Vec<_>>();
    if health.problems.is_empty() {
        lines.push("no problems found".to_owned());
    }
    for problem in &health.problems {
        let kind = if problem.serious { "problem" } else { "note" };
        lines.push(format!("{kind}: {} → {}", problem.what, problem.remedy));
    }
    lines.join("\n")
}

fn rows(health: &Health) -> Vec<(&'static str, String)> {
    let program = &health.program;
    let features = match program.features.as_slice() {
        [] => "none".to_owned(),
        features => features.join(", "),
    };
    let mut rows = vec![
        (
            "version",
            format!(
                "finetune {}, Burn {}, {} build, features: {features}",
                program.version,
                program.burn,
                if program.release { "release" } else { "dev" }
            ),
        ),
        ("processor", processor(health)),
        ("memory", memory(health)),
    ];
    for device in &health.devices {
        rows.push(("device", of_device(device)));
    }
    rows.push(("cache", place(&health.cache)));
    rows.push(("runs", place(&health.runs)));
    rows
}

fn processor(health: &Health) -> String {
    let processor = &health.processor;
    let name = processor.name.as_deref().unwrap_or(processor.architecture);
    let bf16 = match processor.bf16 {
        Some(unit) => format!("--precision bf16 through {unit}"),
        None => "no --precision bf16".to_owned(),
    };
    format!(
        "{name}: {} kernels, {} threads on {} processors, {bf16}; {:.0} GFLOP/s in large products",
        processor.instruction_set,
        processor.threads,
        processor.cores,
        2e-9 * processor.products_per_second,
    )
}

fn memory(health: &Health) -> String {
    let known = |bytes_: Option<u64>| bytes_.map_or_else(|| "unknown".to_owned(), bytes);
    format!(
        "{}, free: {}",
        known(health.memory.total),
        known(health.memory.free)
    )
}

fn of_device(device: &Examined) -> String {
    match &device.reason {
        None => format!("{} works", device.name),
        Some(reason) => format!("{}: {reason}", device.name),
    }
}

fn place(place: &Place) -> String {
    let Some(path) = &place.path else {
        return "none".to_owned();
    };
    let kept = match place.bytes {
        0 => String::new(),
        kept => format!(" with {} of finetune", bytes(kept)),
    };
    let free = place.free.map_or_else(String::new, |free| {
        format!(", {} free on its disk", bytes(free))
    });
    format!("{}{kept}{free}", path.display())
}
