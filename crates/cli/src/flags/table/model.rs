//! The model and its pretrained weights.

use finetune::folder::absolute;
use finetune::weights::locate;

use crate::flags::define::{Flag, Resume, value};
use crate::flags::task::Task;

pub(super) fn flags() -> Vec<Flag> {
    vec![
        value("model", "NAME")
            .help("Model; `finetune inspect` lists them")
            .default_is("recognised from --weights, else resnet8-64")
            .sets_base(
                |base, model| base.model = Some(model),
                Resume::Rule(|base, plan| {
                    let mut runs = plan.runs.iter();
                    Ok(runs.all(|run| base.model.as_ref() == Some(&run.model)))
                }),
            ),
        value("weights", "FILE")
            .help("Pretrained weights: a safetensors or PyTorch file, or hf:OWNER/NAME")
            .details(
                "On the Hugging Face Hub: hf:OWNER/NAME[@REVISION][/FILE]. Without --model, the model \
                 is recognised from the file.",
            )
            .default_is("shipped with resnet8-64")
            .sets_base(
                |base, weights| base.weights = Some(weights),
                Resume::Rule(|base, plan| {
                    let Some(name) = &base.weights else {
                        return Ok(true);
                    };
                    let path = Some(absolute(&locate(name, None)?)?);
                    Ok(plan.runs.iter().all(|run| run.weights == path))
                }),
            ),
        value("weights-sha256", "HEX")
            .help("SHA-256 that the weights file must have")
            .sets_base(
                |base, sha256| base.weights_sha256 = Some(sha256),
                Resume::Rule(|base, plan| {
                    for path in plan.runs.iter().filter_map(|run| run.weights.as_ref()) {
                        locate(&path.to_string_lossy(), base.weights_sha256.as_deref())?;
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
