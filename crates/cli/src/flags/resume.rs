//! Flags beside `--resume`: a run continues as it was started, so flags that would change it are
//! rejected rather than silently ignored.

use std::path::Path;

use anyhow::{Result, bail};
use finetune::config::{Mirror, RunConfig};
use finetune::folder::{Plan, pinned};

use super::base::Weights;
use super::define::{Flag, Resume};
use super::typed::Typed;
use crate::terminal::exit::Usage;

impl Typed {
    /// Checks that no flag contradicts the saved runs of `folder`.
    ///
    /// # Errors
    ///
    /// [`Usage`] that names the flags that do, and values out of their ranges.
    pub fn check(&self, plan: &Plan, folder: &Path) -> Result<()> {
        let base = self.base();
        let flags = self.flags();
        let mut wrong: Vec<&Flag> = Vec::new();
        for (index, flag) in flags.iter().enumerate() {
            let mut judged = vec![flag];
            let agrees = match flag.resume {
                Resume::Honour | Resume::SameRecipe | Resume::Conflict => true,
                Resume::MustAgree => self.agree(&judged, plan)?,
                Resume::Together(group) => {
                    let in_group = |flag: &&Flag| matches!(flag.resume, Resume::Together(other) if other == group);
                    // The first one stands for all of the group.
                    if flags[..index].iter().any(|flag| in_group(&flag)) {
                        continue;
                    }
                    judged = flags.iter().filter(in_group).collect();
                    self.agree(&judged, plan)?
                }
                Resume::Rule(agrees) => agrees(&base, plan)?,
            };
            if !agrees {
                wrong.extend(judged);
            }
        }
        if wrong.is_empty() {
            let recipe = |flag: &&Flag| matches!(flag.resume, Resume::SameRecipe);
            let recipes: Vec<&Flag> = flags.iter().filter(recipe).collect();
            if !recipes.is_empty() && !self.is_recipe_of(plan)? {
                wrong = recipes;
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let (contradict, them) = match wrong.len() {
            1 => ("contradicts", "it"),
            _ => ("contradict", "them"),
        };
        let wrong: Vec<_> = wrong.iter().map(ToString::to_string).collect();
        bail!(Usage(format!(
            "{} {contradict} the settings of the run in {}; leave {them} out to resume that run, or \
             start another one without --resume",
            wrong.join(", "),
            folder.display()
        )))
    }

    /// Applies the flags that a resumed run honours.
    ///
    /// # Errors
    ///
    /// Values out of their ranges.
    pub fn honour(&self, run: &mut RunConfig) -> Result<()> {
        for flag in self.flags() {
            if matches!(flag.resume, Resume::Honour) {
                self.apply(&flag, run)?;
            }
        }
        Ok(run.check()?)
    }

    /// Whether these flags change none of the saved runs.
    fn agree(&self, flags: &[&Flag], plan: &Plan) -> Result<bool> {
        for run in &plan.runs {
            let mut changed = run.clone();
            for flag in flags {
                self.apply(flag, &mut changed)?;
            }
            // A saved run has absolute paths.
            if changed.data.path != run.data.path {
                changed.data.path = pinned(changed.data.path)?;
            }
            if changed != *run {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether new runs with these flags would have the recipes of the saved ones.
    fn is_recipe_of(&self, plan: &Plan) -> Result<bool> {
        for saved in &plan.runs {
            let mut base = self.base();
            if base.named_model().is_some_and(|model| model != saved.model) {
                return Ok(false);
            }
            base.model = Some(saved.model.clone());
            base.image_size = Some(saved.data.image_size);
            // They decide about the model only.
            base.weights = None;
            let others = |flag: &Flag| !matches!(flag.resume, Resume::Honour);
            let none = Weights::default();
            let mut run = self.run(&base, &none, saved.method_name(), saved.seed, others)?;
            run.recipe.feature_cache = saved.recipe.feature_cache;
            if (run.mirror, saved.mirror) == (Mirror::Auto, Mirror::Auto) {
                run.recipe.augment.flip = saved.recipe.augment.flip;
            }
            if run.recipe != saved.recipe {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
