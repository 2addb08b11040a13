//! The files of a run: reports, plans, checkpoints and settings.

use std::ffi::OsString;
use std::path::Path;

use burn::tensor::Device;
use finetune::config::defaults::{self, For};
use finetune::evaluation::{Report, fewer_images, finding, html, left_out, page, summarize, table};
use finetune::folder::Plan;
use finetune::methods::{LoraConfig, Method, Scope, Targets};
use finetune::training::Checkpoint;
use finetune_cli::flags::file;

use super::net::Net;
use super::safetensors;
use super::weights::shown;

/// A `report.json`, and everything that is made of it.
pub fn report(folder: &Path, input: &[u8]) -> usize {
    let path = folder.join("report.json");
    std::fs::write(&path, input).expect("a file");
    let report = match Report::read(&path) {
        Ok(report) => report,
        Err(error) => return shown(&error),
    };
    let texts = [
        table(&report),
        page(&report),
        finding(&summarize(&report)),
        fewer_images(&report, Some(80)).unwrap_or_default(),
    ];
    let _ = left_out(&report.dataset);
    let html = html(&report).map_or_else(|error| shown(&error), |page| page.len());
    let json = report.to_json().expect("a report can be written");
    json.len() + html + texts.concat().len()
}

/// A `plan.json` or `config.json`.
pub fn plan(folder: &Path, input: &[u8]) -> usize {
    let path = folder.join("plan.json");
    std::fs::write(&path, input).expect("a file");
    let plan = match Plan::read_file(&path) {
        Ok(plan) => plan,
        Err(error) => return shown(&error),
    };
    if let Err(error) = plan.pick(None) {
        shown(&error);
    }
    for run in &plan.runs {
        let _ = plan.folder(folder).model(run);
        let _ = plan.folder(folder).adapter(run);
        run.architecture().expect("it was checked");
        run.targets().expect("they were checked");
    }
    let text = serde_json::to_string(&plan).expect("a plan can be written");
    let again: Plan = serde_json::from_str(&text).expect("what was written can be read");
    assert_eq!(again.runs.len(), plan.runs.len());
    text.len()
}

/// The state of training, a zero byte, and the tensors as the target `safetensors` has them: a
/// checkpoint of a small network, from which its model is taken.
pub fn checkpoint(_: &Path, input: &[u8]) -> usize {
    let (state, tensors) = safetensors::split(input);
    let (header, numbers) = safetensors::split(tensors);
    let state = String::from_utf8_lossy(state);
    let state = serde_json::to_string(&state).expect("a text");
    let metadata = format!(r#"{{"__metadata__":{{"finetune-checkpoint":{state}}}"#);
    let tensors = header.strip_prefix(b"{").unwrap_or(header);
    let comma: &[u8] = if tensors.starts_with(b"\"") {
        b","
    } else {
        b""
    };
    let parts = [metadata.as_bytes(), comma, tensors, b"\0", numbers];
    let file = safetensors::file(&parts.concat());
    let checkpoint = match Checkpoint::from_bytes(&file) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return shown(&error),
    };
    let _ = (
        checkpoint.epochs(),
        checkpoint.steps(),
        checkpoint.best_epoch(),
    );
    let _ = (checkpoint.is_within_epoch(), checkpoint.about());
    let device = Device::flex().autodiff();
    let (method, targets) = (Method::Lora(LoraConfig::default()), Targets::all());
    let attached = method.attach(Net::new(&device), &Scope::new("head", &targets, 0));
    let recipe = defaults::recipe("lora", For::Small);
    let attached = attached.expect("LoRA is for every network");
    if let Err(error) = checkpoint.model(attached, &recipe) {
        shown(&error);
    }
    file.len()
}

/// Settings for `train --config`, as the flags that they stand for: JSON if they begin with a brace,
/// otherwise TOML.
pub fn settings(folder: &Path, input: &[u8]) -> usize {
    let is_json = input.trim_ascii_start().starts_with(b"{");
    let path = folder.join(if is_json { "my.json" } else { "my.toml" });
    std::fs::write(&path, input).expect("a file");
    let typed = ["finetune", "train", "--config"].map(OsString::from);
    let typed = typed.into_iter().chain([path.into_os_string()]);
    if let Err(error) = file::expand(typed.collect()) {
        shown(error.as_ref());
    }
    0
}
