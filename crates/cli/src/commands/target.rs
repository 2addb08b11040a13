//! Where an export goes: not over what is there, and not under a name that says something else.

use std::path::Path;

use anyhow::{Result, bail};
use clap::ValueEnum;
use finetune_files::quoted_path;

use crate::flags::ExportFormat;
use crate::terminal::exit::Usage;

/// Endings of files, and the format that each of them promises.
const ENDINGS: [(&str, ExportFormat); 6] = [
    ("safetensors", ExportFormat::Safetensors),
    ("pth", ExportFormat::Pth),
    ("pt", ExportFormat::Pth),
    ("bin", ExportFormat::Pth),
    ("ckpt", ExportFormat::Pth),
    ("onnx", ExportFormat::Onnx),
];

/// The format that the ending of a file's name promises: `torch.load` reads no safetensors file.
pub(super) fn promised(out: &Path) -> Option<ExportFormat> {
    let ending = out.extension()?.to_string_lossy().to_lowercase();
    let found = ENDINGS.iter().find(|(known, _)| *known == ending);
    found.map(|(_, format)| *format)
}

/// A format as it is typed.
fn typed(format: ExportFormat) -> String {
    let value = format.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Checks that an export in a format may be written to `out`.
///
/// # Errors
///
/// The ending of the name promises another format, or something is there that is not to be replaced.
pub(super) fn target(out: &Path, format: ExportFormat, overwrite: bool) -> Result<()> {
    let shown = quoted_path(out);
    let is_folder = format == ExportFormat::Peft;
    if let Some(other) = promised(out).filter(|promised| *promised != format) {
        let wanted = typed(format);
        let remedy = if is_folder {
            "name a folder".to_owned()
        } else {
            format!("name it {}", quoted_path(&out.with_extension(&wanted)))
        };
        bail!(Usage(format!(
            "--out {shown} ends like a file of the format {}, but --format is {wanted}; {remedy}, or choose the \
             other format",
            typed(other)
        )));
    }
    if overwrite {
        return Ok(());
    }
    let beside = out.with_extension("json");
    let mut files = vec![out];
    // The names of the classes are there.
    files.extend((format == ExportFormat::Pth).then_some(beside.as_path()));
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
