//! Which methods, on which layers, with which settings.

use finetune::config::{RunConfig, defaults};
use finetune::folder::Plan;
use finetune_methods::catalogue::{Budget, Regrow};
use finetune_methods::{LoraConfig, Method, SparseSharedConfig};

use super::set;
use crate::flags::base::Base;
use crate::flags::define::choice::{named, of};
use crate::flags::define::{
    About, Flag, Resume, choice, list, named_choice, on_off, repeated, switch, value,
};
use crate::flags::task::Task;

/// The flag for any setting of a method.
pub(in crate::flags) const SET: &str = "set";

const LORA: &[&str] = &["lora"];
const PEFT: &[&str] = &["peft"];

pub(super) fn flags() -> Vec<Flag> {
    let mut flags = methods();
    flags.extend(layers());
    flags.extend(settings());
    flags
}

fn methods() -> Vec<Flag> {
    let method = |default, tasks| {
        value("method", "METHOD")
            .help("Method; `finetune inspect` lists them")
            .default(default)
            .only(tasks)
            .sets_base(
                |base, method| base.methods = vec![method],
                Resume::Rule(|base, plan| Ok(are_methods_of(base, plan))),
            )
    };
    vec![
        method("sft", &[Task::Train]),
        method("lora", &[Task::Inspect]),
        list("methods", "METHOD,...")
            .help("Methods; `finetune inspect` lists them")
            .default_list(&defaults::METHODS)
            .only(&[Task::Compare])
            .sets_base(
                |base, methods: Vec<String>| base.methods = methods,
                Resume::Rule(|base, plan| Ok(are_methods_of(base, plan))),
            ),
        value("seeds", "N")
            .help("Train each method N times, with consecutive seeds from --seed on")
            .default_is("1; 5 with --claims")
            .only(&[Task::Compare])
            .sets_base(
                |base, seeds| base.seeds = Some(seeds),
                Resume::Rule(|base, plan| {
                    let mut seeds: Vec<u64> = plan.runs.iter().map(|run| run.seed).collect();
                    seeds.sort_unstable();
                    seeds.dedup();
                    Ok(Some(seeds.len() as u64) == base.seeds)
                }),
            ),
    ]
}

fn layers() -> Vec<Flag> {
    vec![
        value("targets", "PATTERN")
            .help("Layers that get an adapter")
            .details(
                "A regular expression for the whole path of a weight; or ends of layers' paths, \
                 separated by commas; or `all`, `all-linear`, `all-conv`; or `attention`, `mlp` for \
                 the linear layers of a transformer's attention or perceptrons.",
            )
            .default_is("the model's own")
            .sets(|run, pattern| run.targets = Some(pattern)),
        value("exclude-targets", "PATTERN")
            .help("Layers that get no adapter: a regular expression")
            .sets(|run, pattern| run.exclude_targets = Some(pattern)),
        list("layers-to-transform", "N,...")
            .help("Blocks whose layers get an adapter, for example 8,9,10,11")
            .default_is("all")
            .sets(|run, blocks| {
                run.layers_to_transform = blocks;
                run.layers_pattern = None;
            })
            .resume(Resume::Together("layers-to-transform")),
        value("layers-pattern", "PATTERN")
            .help("What precedes a block's number in a path, for example `blocks`")
            .default_is("the first number counts")
            .requires("layers-to-transform")
            .sets(|run, pattern| run.layers_pattern = Some(pattern))
            .resume(Resume::Together("layers-to-transform")),
        list("modules-to-save", "NAME,...")
            .help("Layers to train completely, besides the head: ends of their paths")
            .sets(|run, names| run.modules_to_save = names)
            .about(About::Steps),
        value("head-hidden", "N")
            .help("Give the head a hidden layer of N units, with a GELU after it")
            .default_is("none: one linear layer")
            .sets(|run, units| run.head_hidden = Some(units)),
        named_choice(
            "batch-norm",
            [
                named("freeze", false, "They stay as they were pretrained"),
                named(
                    "adapt",
                    true,
                    "They adapt to the new images and are saved with the adapter",
                ),
            ],
        )
        .help("BatchNorm statistics of a frozen base")
        .default("freeze")
        .sets(|run, adapt| run.adapt_statistics = adapt)
        .about(About::Steps),
    ]
}

fn settings() -> Vec<Flag> {
    vec![
        value("lora-rank", "N")
            .help("Rank of the low-rank update")
            .default("8")
            .for_methods(LORA)
            .sets(lora(|lora, rank| lora.rank = rank)),
        value("lora-alpha", "X")
            .help("Numerator of the update's scale, alpha / rank")
            .default("16")
            .for_methods(LORA)
            .sets(lora(|lora, alpha| lora.alpha = alpha)),
        value("lora-dropout", "P")
            .help("Dropout on the adapter's input")
            .details("At least 0 and below 1.")
            .default("0")
            .for_methods(LORA)
            .sets(lora(|lora, dropout| lora.dropout = dropout)),
        value("peft-rank", "N")
            .help("Rank of the projection")
            .default("32")
            .for_methods(PEFT)
            .sets(peft(|peft, rank| peft.rank = rank)),
        value("peft-alpha", "X")
            .help("Numerator of the update's scale, alpha / rank")
            .default("32")
            .for_methods(PEFT)
            .sets(peft(|peft, alpha| peft.alpha = alpha)),
        value("peft-density", "FRACTION")
            .help("Fraction of the entries that train")
            .details("Above 0, at most 1.")
            .default("0.1")
            .for_methods(PEFT)
            .sets(peft(|peft, density| peft.density = density)),
        on_off("peft-share", "One projection for all layers", "One projection per layer")
            .help("Whether all layers share one projection")
            .default("on")
            .for_methods(PEFT)
            .sets(peft(|peft, share| peft.share = share)),
        switch("peft-train-shared")
            .help("Train the projection as well")
            .for_methods(PEFT)
            .sets(peft(|peft, train| peft.train_shared = train)),
        on_off(
            "peft-dynamic",
            "Small entries are replaced by others at intervals",
            "The same entries train all the time",
        )
        .help("Whether the set of trained entries changes during training")
        .default("on")
        .for_methods(PEFT)
        .sets(peft(|peft, dynamic| peft.dynamic = dynamic)),
        value("peft-drop", "FRACTION")
            .help("Fraction of the trained entries that the first change replaces")
            .details("From 0 to 1.")
            .default("0.2")
            .for_methods(PEFT)
            .sets(peft(|peft, fraction| peft.drop_fraction = fraction)),
        value("peft-interval", "STEPS")
            .help("Steps between changes of the set")
            .default("10")
            .for_methods(PEFT)
            .sets(peft(|peft, steps| peft.interval = steps)),
        choice(
            "peft-regrow",
            [
                of(Regrow::Random, "Random ones (SET, Mocanu et al. 2018)"),
                of(
                    Regrow::Gradient,
                    "Those with the largest gradients (RigL, Evci et al. 2020)",
                ),
            ],
        )
        .help("Which entries replace the dropped ones")
        .default("random")
        .for_methods(PEFT)
        .sets(peft(|peft, regrow| peft.regrow = regrow)),
        choice(
            "peft-budget",
            [
                of(Budget::Layer, "The number of trained entries of each layer"),
                of(Budget::Global, "The number of trained entries of the whole model"),
            ],
        )
        .help("What stays constant when the set changes")
        .default("layer")
        .for_methods(PEFT)
        .sets(peft(|peft, budget| peft.budget = budget)),
        repeated(SET, "METHOD.KEY=VALUE")
            .help("Any setting of a method, for example lora.dora=true; may be repeated")
            .details(
                "`finetune inspect` lists the methods, their settings and defaults; docs/methods.md \
                 explains them. In a file of settings: [set.lora] with dora = true.",
            )
            .sets(|run, settings: Vec<String>| {
                run.method = set::apply(&run.method, &settings)?;
                anyhow::Ok(())
            }),
    ]
}

/// Whether the saved runs are of exactly these methods.
fn are_methods_of(base: &Base, plan: &Plan) -> bool {
    let mut runs = plan.runs.iter().map(RunConfig::method_name);
    let mut typed = base.methods.iter();
    runs.all(|saved| base.methods.iter().any(|name| name == saved))
        && typed.all(|name| plan.runs.iter().any(|run| run.method_name() == name))
}

/// Changes a run of `lora`, and no other.
fn lora<T>(effect: impl Fn(&mut LoraConfig, T)) -> impl Fn(&mut RunConfig, T) {
    move |run, value| {
        if let Method::Lora(lora) = &mut run.method {
            effect(lora, value);
        }
    }
}

/// Changes a run of `peft`, and no other.
fn peft<T>(effect: impl Fn(&mut SparseSharedConfig, T)) -> impl Fn(&mut RunConfig, T) {
    move |run, value| {
        if let Method::SparseShared(peft) = &mut run.method {
            effect(peft, value);
        }
    }
}
