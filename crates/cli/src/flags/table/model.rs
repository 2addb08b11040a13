//! The model and its pretrained weights.

use finetune::config::RunConfig;
use finetune::folder::absolute;
use finetune::weights::locate;

use crate::flags::define::{Flag, Resume, value};
use crate::flags::task::Task;

pub(super) fn flags() -> Vec<Flag> {
    vec![
        value("model", "NAME")
            .help("Model; `finetune models` lists them")
            .default_is("recognised from --weights, else resnet8-64")
            .sets_base(
                |base, model| base.model = Some(model),
                Resume::Rule(|base, plan| {
                    let mut runs = plan.runs.iter();
                    Ok(runs.all(|run| base.model.as_ref() == Some(&run.model)))
                }),
            ),
        value("weights", "FILE")
            .help("Pretrained weights: a file, a folder, timm:NAME or hf:OWNER/NAME")
            .details(
                "A safetensors or PyTorch file, or several with an index. On the Hugging Face Hub: \
                 hf:OWNER/NAME[@REVISION][/FILE]; timm:NAME[.TAG] is short for a repository of timm. \
                 Without --model, the model is recognised from the file. With --resume, the new place of the file that the runs \
                 started from, if it was moved.",
            )
            .default_is("shipped with resnet8-64, else those that `finetune models NAME` shows")
            .sets_base(
                |base, weights| base.weights = Some(weights),
                Resume::Rule(|base, plan| {
                    let Some(name) = &base.weights else {
                        return Ok(true);
                    };
                    let path = Some(absolute(&locate(name, None)?)?);
                    // Another file must have the same SHA-256, which is checked when it takes the
                    // place of the former one.
                    Ok(plan.runs.iter().all(|run| run.weights == path)
                        || plan.runs.iter().any(RunConfig::starts_from_file))
                }),
            ),
        value("weights-sha256", "HEX")
            .help("SHA-256 that the weights file must have")
            .sets_base(
                |base, sha256| base.weights_sha256 = Some(sha256),
                Resume::Rule(|base, plan| {
                    let sha256 = base.weights_sha256.as_deref();
                    if let Some(moved) = &base.weights {
                        locate(moved, sha256)?;
                        return Ok(true);
                    }
                    for path in plan.runs.iter().filter_map(|run| run.weights.as_ref()) {
                        locate(&path.to_string_lossy(), sha256)?;
                    }
                    Ok(true)
                }),
            ),
        value("classes", "N")
            .help("Number of classes")
            .default("5")
            .only(&[Task::Inspect])
            .sets_process(|process, classes| process.classes = classes),
    ]
}
