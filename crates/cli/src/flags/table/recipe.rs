//! How a model is trained.

use finetune::config::RunConfig;
use finetune::config::defaults::SCRATCH;
use finetune_training::{ClassWeights, Optimizer, Recipe, Schedule, Select};

use crate::flags::base::{Preset, StartingRecipe};
use crate::flags::define::choice::{named, of};
use crate::flags::define::{
    About, Flag, Resume, choice, named_choice, on_off, switch, value, value_by,
};
use crate::flags::task::Task;

/// The methods that train the whole network.
const WHOLE: &[&str] = &["sft", SCRATCH];

pub(super) fn flags() -> Vec<Flag> {
    let mut flags = starting_recipe();
    flags.extend(steps());
    let of_steps = [optimizer(), regularization(), epochs_and_selection()];
    flags.extend(
        of_steps
            .into_iter()
            .flatten()
            .map(|flag| flag.about(About::Steps)),
    );
    flags
}

fn starting_recipe() -> Vec<Flag> {
    vec![
        named_choice(
            "preset",
            [named(
                "chapter",
                Preset::Chapter,
                "The textbook chapter's: the model `chapter`, Adam at 0.001, batches of 64, 10 epochs",
            )],
        )
        .help("Use the model and the recipe of a publication")
        .details("Other flags change its settings.")
        .sets_base(
            |base, preset| base.preset = Some(preset),
            Resume::SameRecipe,
        ),
        named_choice(
            "recipe",
            [
                named(
                    "default",
                    StartingRecipe::Default,
                    "Each method's own, for the kind of model; docs/defaults.md has the measurements",
                ),
                named(
                    "plain",
                    StartingRecipe::Plain,
                    "For every method: Adam at 0.001, constant, batches of 64, 10 epochs",
                ),
            ],
        )
        .help("Recipe that the flags below change")
        .details("docs/recipe.md describes each setting and names its equivalents in PyTorch and timm.")
        .default("default")
        .sets_base(|base, recipe| base.recipe = recipe, Resume::SameRecipe)
        .about(About::Steps),
    ]
}

fn steps() -> Vec<Flag> {
    vec![
        value_by("budget", "TIME", budget)
            .help("Time of each run instead of epochs, for example 90s or 10m")
            .details(
                "After a few timed steps of each method, it gets as many epochs as fit: the same time for \
                 every method.",
            )
            .default_is("none: each method has its --epochs")
            .only(&[Task::Compare, Task::Train])
            .conflicts_with("epochs")
            .sets_process(|process, seconds| process.budget = Some(seconds))
            .about(About::Steps)
            .resume(Resume::Conflict),
        value("tune", "N")
            .help("Choose each method's settings among N candidates, by validation images")
            .details(
                "The first candidate has the settings of the other flags; the others differ in learning \
                 rate, rank or size, augmentation and weight decay, the same for every method that is \
                 trained in steps. All train for a third of the epochs and the best third for all of them; then the runs begin with \
                 the best. At least 2. Needs validation images.",
            )
            .default_is("the settings as they are")
            .only(&[Task::Compare, Task::Train])
            .sets_process(|process, trials| process.tune = Some(trials))
            .about(About::Steps)
            .resume(Resume::Conflict),
        value("epochs", "N")
            .help("Passes over the training images")
            .default_is("12; 40 for linear on networks pretrained on ImageNet")
            .sets(|run, epochs| run.recipe.epochs = epochs)
            .about(About::Steps),
        value("batch-size", "N")
            .help("Images per batch")
            .default("32")
            .sets(|run, images| run.recipe.batch_size = images),
        on_off(
            "drop-last",
            "An epoch has whole batches, of other images each time",
            "The last batch may be smaller",
        )
        .help("Whether an epoch leaves out its last images if they are fewer than a batch")
        .details("Images that are fewer than one batch are trained on nevertheless.")
        .default_is("on for networks pretrained on ImageNet, else off")
        .sets(|run, drop| run.recipe.drop_last = drop)
        .about(About::Steps),
        value("accumulate", "N")
            .help("Batches per optimiser step (gradient accumulation)")
            .details(
                "Trains like batches that are N times as large, in the memory of one; only BatchNorm \
                 computes its statistics per batch.",
            )
            .default("1")
            .sets(|run, batches| run.recipe.accumulate = batches)
            .about(About::Steps),
        value("seed", "N")
            .help("Seed of everything random; the first one of a comparison")
            .default("0")
            .sets_base(
                |base, seed| base.seed = seed,
                Resume::Rule(|base, plan| {
                    let first = plan.runs.iter().map(|run| run.seed).min();
                    Ok(first == Some(base.seed))
                }),
            ),
    ]
}

/// A duration in seconds.
fn budget(text: &str) -> Result<f64, String> {
    let duration: Option<jiff::SignedDuration> = text.parse().ok();
    let seconds = duration.map(|duration| duration.as_secs_f64());
    seconds
        .filter(|seconds| *seconds > 0.0)
        .ok_or_else(|| "write a time such as 90s, 10m or 1h30m".to_owned())
}

fn optimizer() -> Vec<Flag> {
    vec![
        value_by("lr", "RATE", rate)
            .help("Peak learning rate, or `auto` to find one by a range test")
            .details(
                "The range test trains a copy for 100 steps with rates that rise from 1e-7 to 10 \
                 (Smith 2017, arXiv:1506.01186) and takes place before training.",
            )
            .default_is("the method's own")
            .sets(|run, rate| {
                run.auto_rate = rate == Rate::Auto;
                if let Rate::Fixed(rate) = rate {
                    run.recipe.learning_rate = rate;
                }
            }),
        choice(
            "optimizer",
            [
                of(Optimizer::Adam, "Betas 0.9 and 0.999 (Kingma and Ba 2015)"),
                of(
                    Optimizer::AdamW,
                    "Adam with decoupled weight decay (Loshchilov and Hutter 2019)",
                )
                .alias("adam-w"),
                of(Optimizer::Sgd, "Stochastic gradient descent with momentum 0.9"),
            ],
        )
        .help("Optimiser")
        .default("adam")
        .sets(|run, optimizer| run.recipe.optimizer = optimizer),
        choice(
            "schedule",
            Schedule::ALL.map(|schedule| of(schedule, schedule.description())),
        )
        .help("How the learning rate changes during training")
        .default(Schedule::OneCycle.name())
        .sets(|run, schedule| run.recipe.schedule = schedule),
        value("warmup", "FRACTION")
            .help("Fraction of the steps over which the learning rate rises")
            .details("At least 0 and below 1.")
            .default_is(&warmups())
            .sets(|run, fraction| run.recipe.warmup = Some(fraction)),
        on_off(
            "cycle-momentum",
            "One-cycle lowers it from 0.95 to 0.85 while the learning rate is high, as PyTorch does",
            "It is always 0.9",
        )
        .help("Whether the momentum, or Adam's beta 1, changes with the learning rate")
        .default("on")
        .sets(|run, cycle| run.recipe.cycle_momentum = cycle),
        value("head-lr-ratio", "R")
            .help("Learning rate of the head, relative to the other layers'")
            .default("1")
            .sets(|run, ratio| run.recipe.head_lr_ratio = ratio),
        value("layer-decay", "R")
            .help("Learning rate of each block, relative to the next one towards the head")
            .details(
                "Above 0, at most 1; 0.65 to 0.8 are usual for vision transformers (BEiT, Bao et al. \
                 2022).",
            )
            .default("1")
            .sets(|run, ratio| run.recipe.layer_decay = ratio),
    ]
}

fn regularization() -> Vec<Flag> {
    vec![
        value("weight-decay", "X")
            .help("Weight decay: decoupled with adamw, L2 otherwise")
            .default("0")
            .sets(|run, decay| run.recipe.weight_decay = decay),
        switch("decay-all")
            .help("Decay biases, normalisations and position embeddings too")
            .sets(|run, all| run.recipe.decay_all = all),
        value("clip-norm", "NORM")
            .help("Limit the norm of a step's gradients to this value")
            .details("The norm of all gradients together (Pascanu et al. 2013). 0 is no limit.")
            .default_is("1 for networks for images of up to 64 pixels, else 0")
            .sets(|run, norm: f64| run.recipe.clip_norm = (norm != 0.0).then_some(norm)),
        value("drop-path", "P")
            .help("Leave out residual branches at random, image by image (stochastic depth)")
            .details(
                "At least 0 and below 1: the probability of the last block, which falls linearly to 0 \
                 towards the first (Huang et al. 2016). 0.1 is usual. For ConvNeXt, vision transformers, \
                 EfficientNet and MobileNetV2.",
            )
            .default_is("torchvision's: 0.1 for ConvNeXt, 0.2 for EfficientNet, otherwise 0")
            .for_methods(WHOLE)
            .sets(whole(|recipe, probability| recipe.drop_path = probability)),
        value("head-dropout", "P")
            .help("Dropout on the input of the head")
            .details("At least 0 and below 1.")
            .default_is("torchvision's: 0.2 for MobileNetV2 and EfficientNet, otherwise 0")
            .for_methods(WHOLE)
            .sets(whole(|recipe, probability| {
                recipe.head_dropout = probability;
            })),
        value("label-smoothing", "FRACTION")
            .help("Fraction of the target to spread over all classes")
            .details("At least 0 and below 1; 0.1 is usual (Szegedy et al. 2016).")
            .default("0")
            .sets(|run, fraction| run.recipe.label_smoothing = fraction),
        choice(
            "class-weights",
            [
                of(ClassWeights::None, "Every image has the same weight"),
                of(
                    ClassWeights::Balanced,
                    "Every class has the same weight, as scikit-learn's `balanced`",
                ),
            ],
        )
        .help("How classes are weighted in the loss")
        .default("none")
        .sets(|run, weights| run.recipe.class_weights = weights)
        .about(About::Loss),
        value("ema", "DECAY")
            .help("Test and save a moving average of the weights, for example 0.999")
            .details(
                "Above 0 and below 1. The decay rises to this value, as in timm's ModelEmaV3 with \
                 warm-up.",
            )
            .default_is("no average")
            .sets(|run, decay| run.recipe.ema = Some(decay)),
    ]
}

/// Changes the recipe of a run that trains the whole network.
fn whole(change: fn(&mut Recipe, f64)) -> impl Fn(&mut RunConfig, f64) {
    move |run, value| {
        if !run.method.freezes_base() {
            change(&mut run.recipe, value);
        }
    }
}

fn epochs_and_selection() -> Vec<Flag> {
    vec![
        value("unfreeze-epochs", "N")
            .help("Epochs over which layers begin to train, the head first")
            .details(
                "Below --epochs. The head trains alone in the first epoch; then block after block \
                 joins, from the top (gradual unfreezing, ULMFiT, Howard and Ruder 2018).",
            )
            .default("0")
            .sets(|run, epochs| run.recipe.unfreeze_epochs = epochs),
        value("patience", "N")
            .help("Stop after N epochs without a better validation accuracy")
            .details(
                "Selects the best epoch's weights unless --keep last is given. Needs validation \
                 images.",
            )
            .default_is("never")
            .sets(|run, epochs| {
                run.recipe.patience = Some(epochs);
                run.recipe.select = Select::Best;
            })
            .resume(Resume::Together("patience")),
        choice(
            "keep",
            [
                of(Select::Last, "Those of the last epoch"),
                of(
                    Select::Best,
                    "Those of the epoch with the best validation accuracy; needs validation images",
                ),
            ],
        )
        .help("Select the weights that the run ends with")
        .default_is("last; best with --patience")
        .sets(|run, keep| run.recipe.select = keep)
        .resume(Resume::Together("patience")),
    ]
}

/// A learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rate {
    Fixed(f64),
    /// The one that a range test suggests.
    Auto,
}

fn rate(text: &str) -> Result<Rate, String> {
    if text == "auto" {
        return Ok(Rate::Auto);
    }
    let rate = text.parse().map(Rate::Fixed);
    rate.map_err(|_| "write a number, or `auto`".to_owned())
}

/// The fractions of the schedules that rise at first unless told otherwise.
fn warmups() -> String {
    let own = Schedule::ALL.map(|schedule| (schedule.name(), schedule.default_warmup()));
    let rising = own.into_iter().filter(|(_, fraction)| *fraction > 0.0);
    let rising: Vec<String> = rising
        .map(|(name, fraction)| format!("{name} {fraction}"))
        .collect();
    format!("{}, others 0", rising.join(", "))
}
