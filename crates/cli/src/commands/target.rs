//! Where an export goes: not over what is there, and not under a name that says something else.

use std::path::Path;

use anyhow::{Result, bail};
use clap::ValueEnum;
use finetune_files::quoted_path;

use crate::flags::ExportFormat;
use crate::terminal::exit::Usage;

/// Endings of files, and the format that each of them promises.
const ENDINGS: [(&str, &str); 6] = [
    ("safetensors", "safetensors"),
    ("pth", "pth"),
    ("pt", "pth"),
    ("bin", "pth"),
    ("ckpt", "pth"),
    ("onnx", "onnx"),
];

/// Checks that an export in a format may be written to `out`.
///
/// # Errors
///
/// The ending of the name promises another format, or something is there that is not to be replaced.
pub(super) fn target(out: &Path, format: ExportFormat, overwrite: bool) -> Result<()> {
    let format = format.to_possible_value();
    let format = format.as_ref().map_or("", |value| value.get_name());
    let ending = out.extension().unwrap_or_default().to_string_lossy();
    let ending = ending.to_lowercase();
    let promised = ENDINGS.iter().find(|(known, _)| *known == ending);
    let shown = quoted_path(out);
    let is_folder = format == "peft";
    if let Some((_, promised)) = promised.filter(|(_, promised)| *promised != format) {
        let remedy = if is_folder {
            "name a folder".to_owned()
        } else {
            let other = out.with_extension(format);
            format!("name it {}", quoted_path(&other))
        };
        bail!(Usage(format!(
            "--out {shown} ends like a file of the format {promised}, but --format is {format}; {remedy}, or \
             choose the other format"
        )));
    }
    if overwrite {
        return Ok(());
    }
    let beside = out.with_extension("json");
    let mut files = vec![out];
    // The names of the classes are there.
    files.extend((format == "pth").then_some(beside.as_path()));
    if let Some(file) = files.into_iter().find(|file| is_taken(file, is_folder)) {
        bail!(Usage(format!(
            "{} exists already; name another --out, or replace it with --overwrite",
            quoted_path(file)
        )));
    }
    Ok(())
}

/// Whether something is there. A folder may be there if it is to be filled and empty.
fn is_taken(path: &Path, is_folder: bool) -> bool {
    if is_folder && path.is_dir() {
        return std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    }
    path.symlink_metadata().is_ok()
}
