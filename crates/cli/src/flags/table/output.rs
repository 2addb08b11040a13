//! Files and messages of runs, and where runs come from.

use finetune::config::{Format, Save};
use finetune::evaluation::Prefer;

use crate::flags::define::choice::of;
use crate::flags::define::{About, Flag, Resume, choice, switch, value};
use crate::flags::task::Task;

/// The flag that reads settings from a file, or repeats runs.
pub(in crate::flags) const CONFIG: &str = "config";
/// The flag that resumes runs.
pub(in crate::flags) const RESUME: &str = "resume";

#[allow(clippy::too_many_lines)] // a table
pub(super) fn flags() -> Vec<Flag> {
    vec![
        value("out", "DIR")
            .help("Folder for the results")
            .default_is("runs/TIME-COMMAND")
            .sets_process(|process, folder| process.out = Some(folder))
            .resume(Resume::Conflict),
        switch("force")
            .help("Use an --out that is not empty, or is inside of the images")
            .details(
                "The files of earlier runs in it are removed once the new ones are found to be \
                 possible; all other files stay.",
            )
            .sets_process(|process, force| process.force = force)
            .resume(Resume::Conflict),
        switch("dry-run")
            .help("Say what was understood, how long it will take and how much memory it needs")
            .details(
                "A few steps of each method are timed. Nothing is trained to its end, and nothing is \
                 written.",
            )
            .only(&[Task::Compare, Task::Train])
            .sets_process(|process, dry_run| process.dry_run = dry_run),
        switch("claims")
            .help("Judge common claims about methods on training sets of several sizes")
            .details(
                "10, 25, 50, 100 and all images a class, each in a folder of its own below --out, with five \
                 seeds unless --seeds is given. Writes claims.md. What is finished is not done again, what \
                 was stopped continues.",
            )
            .only(&[Task::Compare])
            .sets_process(|process, claims| process.claims = claims)
            .resume(Resume::Conflict),
        value(CONFIG, "FILE")
            .help("Read settings from a TOML or JSON file; other flags override them")
            .details(
                "The file holds flags without their dashes, for example `lr = 0.01`. The config.json of \
                 a finished run repeats that run, with --out, --jobs, --ui and --json only.",
            )
            .sets_process(|process, file| process.config = Some(file))
            .resume(Resume::Conflict),
        value(RESUME, "DIR")
            .help("Resume an interrupted run or comparison with its own settings")
            .sets_process(|process, folder| process.resume = Some(folder)),
        choice(
            "format",
            [
                of(Format::Safetensors, "safetensors only"),
                of(
                    Format::Pth,
                    "PyTorch as well: a state dict for torch.load(weights_only=True)",
                ),
            ],
        )
        .help("Format of the finished models")
        .default("safetensors")
        .sets(|run, format| run.format = format),
        choice(
            "save",
            [
                of(
                    Save::Adapter,
                    "What was trained: small, and needs the base weights; `merge` and `export` make the whole \
                     model",
                ),
                of(
                    Save::Model,
                    "The whole model, with the adapter merged; its accuracy can differ in the last digits",
                ),
                of(Save::Both, "The adapter and the whole model"),
            ],
        )
        .help("What of a finished run is written")
        .details(
            "Of a ViT-B, each method writes 340 MB if it is not the adapter alone. A method that cannot be \
             merged writes its adapter in any case.",
        )
        .default("both")
        .sets(|run, save| run.save = save),
        value("checkpoint-seconds", "SECONDS")
            .help("Minimum time between two checkpoints of a run")
            .details(
                "A checkpoint is written after an epoch, and where the run is stopped (Ctrl-C, SIGTERM); \
                 --resume continues from it.",
            )
            .default("30")
            .sets(|run, seconds| run.checkpoint_seconds = seconds)
            .about(About::Steps)
            .resume(Resume::Honour),
        value("keep-checkpoints", "N")
            .help("Retain the checkpoints of the last N epochs")
            .details(
                "And the checkpoint of the epoch with the best validation accuracy. `evaluate`, \
                 `predict`, `merge` and `export` use one with --epoch.",
            )
            .default("0")
            .sets(|run, epochs| run.keep_checkpoints = epochs)
            .about(About::Steps)
            .resume(Resume::Honour),
        choice(
            "prefer",
            [
                of(
                    Prefer::Balance,
                    "Memory, time and file size together, at most 1 point less accurate",
                ),
                of(Prefer::Accuracy, "The most accurate method"),
                of(Prefer::Memory, "The least peak memory, at most 3 points less accurate"),
                of(Prefer::Speed, "The shortest training, at most 3 points less accurate"),
                of(Prefer::Size, "The smallest file, at most 3 points less accurate"),
            ],
        )
        .help("What counts besides accuracy for the method that is recommended")
        .default_is("balance")
        .only(&[Task::Compare])
        .sets_process(|process, prefer| process.prefer = Some(prefer)),
        switch("json")
            .help("Print one JSON document to stdout")
            .sets_process(|process, json| process.json = json),
        value("ui", "UI")
            .help("How progress is shown")
            .default_is("bar on a terminal, else plain")
            .sets_process(|process, ui| process.ui = Some(ui)),
    ]
}
