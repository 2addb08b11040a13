//! The card of a run's model, in the form of the Hugging Face Hub: a head in YAML, and Markdown.

use std::fmt::Write as _;
use std::path::Path;

use finetune_evaluation::understood::UnderstoodPart;
use finetune_evaluation::{Report, Run, bytes, seconds, wilson, write_atomically};
use finetune_files::visible;

use super::names::RunFolder;
use crate::config::RunConfig;
use crate::error::Error;
use crate::weights::BaseName;

/// Licences that the Hub knows by name, among those of published weights.
const LICENCES: [&str; 9] = [
    "apache-2.0",
    "apple-amlr",
    "apple-ascl",
    "bsd-3-clause",
    "cc-by-4.0",
    "cc-by-nc-4.0",
    "gemma",
    "mit",
    "unknown",
];

/// The most classes whose numbers are listed.
const CLASSES: usize = 200;

/// What a card is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Card<'a> {
    pub(super) config: &'a RunConfig,
    pub(super) run: &'a Run,
    pub(super) report: &'a Report,
    /// Whether it is about the adapter for HF PEFT.
    pub(super) for_peft: bool,
}

/// Writes a card for each finished run.
///
/// # Errors
///
/// A file cannot be written.
pub(crate) fn write_cards(
    report: &Report,
    runs: &[RunConfig],
    folder: &RunFolder,
) -> Result<(), Error> {
    for run in &report.runs {
        let mut configs = runs.iter();
        let Some(config) =
            configs.find(|config| config.method_name() == run.method && config.seed == run.seed)
        else {
            continue;
        };
        let card = Card {
            config,
            run,
            report,
            for_peft: false,
        };
        let path = folder.card(config, runs.len() == 1);
        write_atomically(&path, card.text().as_bytes())?;
    }
    Ok(())
}

impl Card<'_> {
    /// The whole card.
    pub(super) fn text(&self) -> String {
        let mut text = self.head();
        let _ = write!(text, "\n# {}\n\n{}", plain(&self.name()), self.what());
        for (title, section) in [
            ("Data", self.data()),
            ("Training", self.training()),
            ("Results", self.results()),
            ("Limits", self.limits()),
            ("How to use", self.usage()),
        ] {
            let _ = write!(text, "\n\n## {title}\n\n{section}");
        }
        text.push('\n');
        text
    }

    fn name(&self) -> String {
        format!(
            "{}-{}-{}",
            self.config.model,
            self.run.method,
            self.data_name()
        )
    }

    /// The name of the data set without the folders above it, which are nobody's business.
    fn data_name(&self) -> String {
        let path = Path::new(&self.report.dataset.path);
        let name = path.file_name().unwrap_or(path.as_os_str());
        name.to_string_lossy().into_owned()
    }

    fn base(&self) -> BaseName {
        BaseName::of(self.config)
    }

    /// The head. Strings are JSON, which is YAML as well.
    fn head(&self) -> String {
        let base = self.base();
        let mut lines = vec!["---".to_owned()];
        let library = if self.for_peft { "peft" } else { "finetune" };
        lines.push(format!("library_name: {library}"));
        match base.licence(&self.config.model) {
            Some(licence) if LICENCES.contains(&licence) => {
                lines.push(format!("license: {licence}"));
            }
            Some(other) => {
                lines.push("license: other".to_owned());
                lines.push(format!("license_name: {}", quoted(other)));
            }
            None => lines.push("license: unknown".to_owned()),
        }
        lines.push("pipeline_tag: image-classification".to_owned());
        let mut tags = vec![
            "image-classification".to_owned(),
            "finetune".to_owned(),
            self.run.method.clone(),
            self.config.model.clone(),
        ];
        if let BaseName::Repository(name) = &base {
            lines.push(format!("base_model: {}", quoted(name)));
            let relation = if self.for_peft { "adapter" } else { "finetune" };
            lines.push(format!("base_model_relation: {relation}"));
            if self.for_peft {
                tags.push(format!("base_model:adapter:{name}"));
            }
        }
        lines.push("tags:".to_owned());
        lines.extend(tags.iter().map(|tag| format!("- {}", quoted(tag))));
        lines.extend(["metrics:", "- accuracy", "- f1"].map(str::to_owned));
        lines.extend(self.model_index());
        lines.push("---".to_owned());
        lines.join("\n") + "\n"
    }

    fn model_index(&self) -> Vec<String> {
        let mut lines = vec![
            "model-index:".to_owned(),
            format!("- name: {}", quoted(&self.name())),
            "  results:".to_owned(),
            "  - task:".to_owned(),
            "      type: image-classification".to_owned(),
            "      name: Image classification".to_owned(),
            "    dataset:".to_owned(),
            format!("      name: {}", quoted(&self.data_name())),
            "      type: imagefolder".to_owned(),
            "      split: test".to_owned(),
            "    metrics:".to_owned(),
        ];
        let (low, high) = self.interval();
        for (kind, name, value) in [
            ("accuracy", "Accuracy", self.run.accuracy),
            ("accuracy", "Accuracy, lower end of the 95 % interval", low),
            ("accuracy", "Accuracy, upper end of the 95 % interval", high),
            ("f1", "Macro-F1", self.run.macro_f1),
        ] {
            lines.push(format!("    - type: {kind}"));
            lines.push(format!("      name: {}", quoted(name)));
            lines.push(format!("      value: {value:.4}"));
        }
        lines
    }

    #[allow(clippy::cast_precision_loss)]
    fn interval(&self) -> (f64, f64) {
        let images = self.run.confusion().total() as f64;
        wilson(self.run.accuracy * images, images)
    }

    fn what(&self) -> String {
        let Run {
            method,
            trainable_parameters: trained,
            total_parameters: all,
            ..
        } = self.run;
        let base = match self.base() {
            BaseName::Repository(name) => format!("the weights of `{name}`"),
            BaseName::File(path) => {
                let name = Path::new(&path).file_name().unwrap_or_default();
                format!("the weights file `{}`", plain(&name.to_string_lossy()))
            }
            BaseName::Shipped => "the weights inside finetune".to_owned(),
            BaseName::Random => "random weights".to_owned(),
        };
        let what = if self.for_peft {
            "An adapter for HF PEFT"
        } else {
            "A classifier of images"
        };
        format!(
            "{what}: `{}` from {base}, fine-tuned with `{method}` by finetune {}. {trained} of its {all} \
             parameters were trained. It tells {} classes apart: {}.",
            self.config.model,
            env!("CARGO_PKG_VERSION"),
            self.report.dataset.classes.len(),
            self.class_names()
        )
    }

    fn class_names(&self) -> String {
        let classes = &self.report.dataset.classes;
        let shown: Vec<String> = classes
            .iter()
            .take(CLASSES)
            .map(|name| code(name))
            .collect();
        let more = classes.len() - shown.len();
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{}{more}", shown.join(", "))
    }

    fn data(&self) -> String {
        let dataset = &self.report.dataset;
        let mut text = format!(
            "{}: {} images for training, {} for validation, {} for testing.",
            code(&self.data_name()),
            dataset.train,
            dataset.valid,
            dataset.test
        );
        if let Some(images) = self.run.train_per_class {
            let _ = write!(
                text,
                " At most {images} images of each class were trained with."
            );
        }
        if !dataset.skipped.is_empty() {
            let skipped = dataset.skipped.len();
            let _ = write!(
                text,
                " {skipped} images could not be read and were left out."
            );
        }
        let understood = self.report.understood.as_ref();
        let parts = understood.map_or(&[][..], |understood| understood.data.parts.as_slice());
        if !parts.is_empty() && dataset.classes.len() <= CLASSES {
            let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
            let _ = write!(
                text,
                "\n\n| class | {} |\n|---|{}",
                names.join(" | "),
                "--:|".repeat(names.len())
            );
            for (index, class) in dataset.classes.iter().enumerate() {
                let count = |part: &UnderstoodPart| {
                    part.per_class
                        .get(index)
                        .map_or_else(String::new, usize::to_string)
                };
                let counts: Vec<String> = parts.iter().map(count).collect();
                let _ = write!(text, "\n| {} | {} |", code(class), counts.join(" | "));
            }
        }
        text
    }

    fn training(&self) -> String {
        let mut text = String::new();
        let rows = self
            .run
            .settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()));
        let more = [
            ("seed", self.run.seed.to_string()),
            ("optimiser steps", self.run.steps.to_string()),
            ("device", self.report.device.clone()),
            ("time", seconds(self.run.train_seconds)),
        ];
        text.push_str("| setting | value |\n|---|---|");
        for (name, value) in rows.chain(more) {
            let _ = write!(text, "\n| {} | {} |", plain(name), plain(&value));
        }
        if let Some(memory) = self.run.peak_memory_bytes {
            let _ = write!(text, "\n| peak memory | {} |", bytes(memory));
        }
        if self.run.stopped {
            text.push_str("\n\n**The training was stopped before its end.**");
        }
        text
    }

    fn results(&self) -> String {
        let (low, high) = self.interval();
        let percent = |share: f64| format!("{:.2} %", 100.0 * share);
        let mut text = format!(
            "On {} test images, which were used once, after training:\n\n| measure | value |\n|---|--:|\n\
             | accuracy | {} |\n| its 95 % interval (Wilson) | {} to {} |\n| macro-F1 | {:.3} |",
            self.run.confusion().total(),
            percent(self.run.accuracy),
            percent(low),
            percent(high),
            self.run.macro_f1
        );
        if let Some(scores) = &self.run.scores {
            let _ = write!(
                text,
                "\n| log loss | {:.3} |\n| expected calibration error | {:.3} |",
                scores.log_loss, scores.calibration_error
            );
        }
        let per_class = &self.run.per_class_accuracy;
        if (1..=CLASSES).contains(&per_class.len()) {
            text.push_str("\n\n| class | accuracy |\n|---|--:|");
            for (class, accuracy) in self.report.dataset.classes.iter().zip(per_class) {
                let _ = write!(text, "\n| {} | {} |", code(class), percent(*accuracy));
            }
        }
        text
    }

    fn limits(&self) -> String {
        let mut limits = vec![
            "It answers one of its classes for every image, whatever the image shows.".to_owned(),
            "The interval above counts the chance of the test images only. On images that were taken in \
             another way, it can be much less accurate."
                .to_owned(),
            "Nobody has looked at whether it treats groups of people equally.".to_owned(),
            "The licences of the base weights and of the training images apply; this card does not decide \
             what they allow."
                .to_owned(),
        ];
        let test = self.run.confusion().per_class();
        if let Some(least) = test.iter().min().filter(|least| **least < 30) {
            limits.push(format!(
                "A class has only {least} test images, so that its accuracy is rough."
            ));
        }
        let limits: Vec<String> = limits.iter().map(|limit| format!("- {limit}")).collect();
        limits.join("\n")
    }

    fn usage(&self) -> String {
        if self.for_peft {
            return self.usage_with_peft();
        }
        let method = &self.run.method;
        let mut text = format!(
            "```sh\nfinetune predict --run FOLDER --method {method} photo.jpg\n\
             finetune evaluate --run FOLDER --method {method} --data other-images\n"
        );
        if self.config.method.merges() {
            let _ = writeln!(
                text,
                "finetune export --run FOLDER --method {method} --format pth --out model.pth"
            );
        }
        text.push_str("```\n\n`FOLDER` is the folder of this card.");
        if !self.config.saves_model()
            && let Some(base) = self.base().name_or_path()
        {
            let _ = write!(
                text,
                " It holds what was trained; the base weights are needed as well: {}.",
                code(base)
            );
        }
        let _ = write!(text, " {}", self.preparation());
        text
    }

    fn usage_with_peft(&self) -> String {
        let model = &self.config.model;
        let classes = self.report.dataset.classes.len();
        format!(
            "```python\nfrom peft import PeftModel\n\n# `base` is `{model}` with the base weights and a head \
             of {classes} classes.\nmodel = PeftModel.from_pretrained(base, \"FOLDER\").eval()\n```\n\n\
             `FOLDER` is the folder of this card. {} `finetune.json` has this and the names of the classes in \
             the order of the logits.",
            self.preparation()
        )
    }

    fn preparation(&self) -> String {
        let Some(model) = self.report.understood.as_ref().map(|all| &all.model) else {
            return format!("Images have {0}×{0} pixels.", self.config.data.image_size);
        };
        format!(
            "Images have {0}×{0} pixels ({1}, {2}), in values from 0 to 1 less {3:?} divided by {4:?}.",
            model.image_size, model.filter, model.fit, model.mean, model.std
        )
    }
}

/// A string in JSON, which YAML reads.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Text in which nothing is a mark of Markdown's tables or HTML.
fn plain(text: &str) -> String {
    let text = visible(text).replace('&', "&amp;").replace('<', "&lt;");
    text.replace('|', "\\|")
}

/// Text as code.
fn code(text: &str) -> String {
    format!("`{}`", visible(text).replace('`', "'").replace('|', "\\|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_marks() {
        assert_eq!(plain("a|b<c>&"), "a\\|b&lt;c>&amp;");
        assert_eq!(code("a`b|c"), "`a'b\\|c`");
        assert_eq!(quoted("a: \"b\"\n"), r#""a: \"b\"\n""#);
    }
}
