//! What is typed beside `--resume`: a run goes on as it was begun, and what says otherwise is refused
//! instead of overheard.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Result, bail};
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, Parser};
use finetune::config::RunConfig;
use finetune::folder::{Plan, absolute, pinned};
use finetune::machine::device;
use finetune::weights::locate;

use crate::terminal::exit::Usage;

use super::{Cli, Command, Common, LrArg, Preset, StatisticsArg};

/// What concerns the process that goes on and no result of it.
const HONOURED: [&str; 10] = [
    "resume",
    "ui",
    "json",
    "threads",
    "workers",
    "cache",
    "cache_limit",
    "feature_cache",
    "checkpoint_seconds",
    "keep_checkpoints",
];

/// What means something only together.
const TOGETHER: [&[&str]; 4] = [
    &["folds", "fold"],
    &["layers_to_transform", "layers_pattern"],
    &["patience", "keep"],
    &[
        "augment",
        "mixup",
        "cutmix",
        "random_erasing",
        "rand_augment",
    ],
];

/// What all other settings of the recipe change.
const RECIPES: [&str; 2] = ["preset", "recipe"];

/// The flags that were typed, among them `--resume`.
#[derive(Debug)]
pub struct Typed<'a> {
    /// `train` or `compare`.
    command: clap::Command,
    matches: &'a ArgMatches,
    /// Their names as clap knows them.
    ids: Vec<String>,
}

/// Some of them, as if nothing else had been typed.
struct Part {
    ids: Vec<String>,
    common: Common,
    methods: Vec<String>,
    seeds: u64,
}

impl<'a> Typed<'a> {
    /// What was typed behind `name`, `train` or `compare`.
    #[must_use]
    pub fn of(name: &str, matches: &'a ArgMatches) -> Self {
        let app = Cli::command();
        let command = app.find_subcommand(name).cloned().unwrap_or_default();
        let ids = command.get_arguments().map(clap::Arg::get_id);
        let ids = ids
            .filter(|id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine))
            .map(ToString::to_string)
            .collect();
        Self {
            command,
            matches,
            ids,
        }
    }

    /// Checks that nothing contradicts what the runs of `folder` were begun with.
    ///
    /// # Errors
    ///
    /// [`Usage`] that names the flags that do, and values that mean nothing.
    pub fn check(&self, plan: &Plan, folder: &Path) -> Result<()> {
        let mut wrong = Vec::new();
        let settings = self.ids.iter().map(String::as_str);
        let settings: Vec<&str> = settings.filter(|id| !HONOURED.contains(id)).collect();
        for (index, id) in settings.iter().enumerate() {
            let together = TOGETHER.iter().find(|group| group.contains(id));
            let mut group = vec![*id];
            if let Some(together) = together {
                group.clone_from(&settings);
                group.retain(|other| together.contains(other));
                // Once, by its first one.
                if settings[..index]
                    .iter()
                    .any(|before| group.contains(before))
                {
                    continue;
                }
            }
            if !self.only(&group)?.fits(plan)? {
                wrong.extend(group);
            }
        }
        let mut recipes = settings.clone();
        recipes.retain(|id| RECIPES.contains(id));
        if wrong.is_empty() && !recipes.is_empty() && !self.only(&settings)?.is_recipe_of(plan)? {
            wrong = recipes;
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let wrong: Vec<String> = wrong.into_iter().map(|id| self.flag(id)).collect();
        let (contradict, them) = match wrong.len() {
            1 => ("contradicts", "it"),
            _ => ("contradict", "them"),
        };
        bail!(Usage(format!(
            "{} {contradict} what the run in {} was begun with; leave {them} out to go on with it, or \
             begin another run without --resume",
            wrong.join(", "),
            folder.display()
        )))
    }

    /// A run as it goes on: with what concerns this process as it was typed.
    ///
    /// # Errors
    ///
    /// Numbers out of their range.
    pub fn honour(&self, run: &mut RunConfig) -> Result<()> {
        let Part { ids, common, .. } = self.only(&HONOURED)?;
        let is_typed = |id: &str| ids.iter().any(|typed| typed == id);
        let pipeline = common.images.config(run.data.image_size)?.pipeline;
        let threads = common.threads()?;
        if is_typed("threads") {
            run.threads = threads;
        }
        if is_typed("workers") {
            run.data.pipeline.workers = pipeline.workers;
        }
        if is_typed("cache") {
            run.data.pipeline.cache = pipeline.cache;
        }
        if is_typed("cache_limit") {
            run.data.pipeline.limit = pipeline.limit;
        }
        if is_typed("feature_cache") {
            run.recipe.feature_cache = common.recipe.feature_cache.into();
        }
        if is_typed("checkpoint_seconds") {
            run.checkpoint_seconds = common.checkpoint_seconds;
        }
        if is_typed("keep_checkpoints") {
            run.keep_checkpoints = common.keep_checkpoints;
        }
        Ok(())
    }

    /// `--learning-rate` of `learning_rate`.
    fn flag(&self, id: &str) -> String {
        let mut arguments = self.command.get_arguments();
        let argument = arguments.find(|argument| argument.get_id() == id);
        let long = argument.and_then(clap::Arg::get_long).unwrap_or(id);
        format!("--{long}")
    }

    /// Those of the flags that were typed.
    fn only(&self, ids: &[&str]) -> Result<Part> {
        let mut typed = vec![
            OsString::from("finetune"),
            OsString::from(self.command.get_name()),
        ];
        let ids: Vec<&str> = ids
            .iter()
            .copied()
            .filter(|id| self.ids.iter().any(|typed| typed == id))
            .collect();
        for id in &ids {
            let flag = self.flag(id);
            let mut arguments = self.command.get_arguments();
            let argument = arguments.find(|argument| argument.get_id() == *id);
            if !argument.is_some_and(|argument| argument.get_action().takes_values()) {
                typed.push(flag.into());
                continue;
            }
            for value in self.matches.get_raw(id).into_iter().flatten() {
                let mut whole = OsString::from(format!("{flag}="));
                whole.push(value);
                typed.push(whole);
            }
        }
        let parsed = Cli::try_parse_from(typed).map_err(|error| Usage(error.to_string()))?;
        let (common, methods, seeds) = match parsed.command {
            Command::Train(args) => (args.common, vec![args.method], 1),
            Command::Compare(args) => (args.common, args.methods, args.seeds),
            _ => bail!(Usage("--resume goes with train and compare".to_owned())),
        };
        Ok(Part {
            ids: ids.into_iter().map(ToOwned::to_owned).collect(),
            common,
            methods,
            seeds,
        })
    }
}

impl Part {
    fn has(&self, id: &str) -> bool {
        self.ids.iter().any(|typed| typed == id)
    }

    /// Whether the runs of a plan are as typed; a recipe to begin with is not looked at.
    fn fits(&self, plan: &Plan) -> Result<bool> {
        if self.has("method") || self.has("methods") {
            let mut runs = plan.runs.iter().map(RunConfig::method_name);
            let known = runs.all(|name| self.methods.iter().any(|typed| typed == name));
            let mut typed = self.methods.iter();
            let all = typed.all(|name| plan.runs.iter().any(|run| run.method_name() == name));
            if !(known && all) {
                return Ok(false);
            }
        }
        let mut seeds: Vec<u64> = plan.runs.iter().map(|run| run.seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        if self.has("seeds") && seeds.len() as u64 != self.seeds.max(1)
            || self.has("seed") && seeds.first() != Some(&self.common.seed)
        {
            return Ok(false);
        }
        for run in &plan.runs {
            if self.on(run)? != *run {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A run with what was typed in the place of what stands there.
    fn on(&self, run: &RunConfig) -> Result<RunConfig> {
        let typed = &self.common;
        let mut run = run.clone();
        self.images_on(&mut run)?;
        if let Some(name) = &typed.weights {
            run.weights = Some(absolute(&locate(name, None)?)?);
        }
        if let (Some(sha256), Some(path)) = (&typed.weights_sha256, &run.weights) {
            locate(&path.to_string_lossy(), Some(sha256))?;
        }
        if let Some(model) = &typed.model {
            run.model.clone_from(model);
        }
        if self.has("device") {
            device::canonical(&typed.device).clone_into(&mut run.device);
        }
        if self.has("format") {
            run.format = typed.format.into();
        }
        typed.recipe.apply(&mut run.recipe);
        if let Some(rate) = typed.recipe.lr {
            run.auto_rate = rate == LrArg::Auto;
        }
        let adapter = &typed.adapter;
        run.method = adapter.apply(run.method)?;
        if adapter.targets.is_some() {
            run.targets.clone_from(&adapter.targets);
        }
        if adapter.exclude_targets.is_some() {
            run.exclude_targets.clone_from(&adapter.exclude_targets);
        }
        if self.has("layers_to_transform") {
            run.layers_to_transform
                .clone_from(&adapter.layers_to_transform);
            run.layers_pattern.clone_from(&adapter.layers_pattern);
        }
        if self.has("modules_to_save") {
            run.modules_to_save.clone_from(&adapter.modules_to_save);
        }
        if self.has("batch_norm") {
            run.adapt_statistics = adapter.batch_norm == StatisticsArg::Adapt;
        }
        Ok(run)
    }

    fn images_on(&self, run: &mut RunConfig) -> Result<()> {
        let images = &self.common.images;
        let typed = images.config(images.image_size.unwrap_or(run.data.image_size))?;
        let data = &mut run.data;
        data.image_size = typed.image_size;
        if self.has("data") {
            data.path = pinned(typed.path)?;
        }
        data.train_per_class = typed.train_per_class.or(data.train_per_class);
        data.fold = typed.fold.or(data.fold);
        data.max_pixels = typed.max_pixels.or(data.max_pixels);
        if self.has("valid_fraction") {
            data.valid_fraction = typed.valid_fraction;
        }
        if self.has("sampling") {
            data.sampling = typed.sampling;
        }
        if self.has("on_bad_image") {
            data.pipeline.on_bad_image = typed.pipeline.on_bad_image;
        }
        Ok(())
    }

    /// Whether a recipe to begin with, changed by all else that was typed, is what the runs have.
    fn is_recipe_of(&self, plan: &Plan) -> Result<bool> {
        for run in &plan.runs {
            let mut common = self.common.clone();
            if common.model.is_none() && common.recipe.preset == Some(Preset::Chapter) {
                common.model = Some("chapter".to_owned());
            }
            if common.model.get_or_insert_with(|| run.model.clone()) != &run.model {
                return Ok(false);
            }
            common.weights = None;
            common.images.image_size = Some(run.data.image_size);
            let mut recipe = common.resolve(run.method_name(), run.seed)?.recipe;
            recipe.feature_cache = run.recipe.feature_cache;
            if recipe != run.recipe {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
