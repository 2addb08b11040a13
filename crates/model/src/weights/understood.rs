//! Which network the tensors of a file are, where in the file they are, and what else is there.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::OnceLock;

use burn::tensor::Device;
use finetune_files::{and_more, quoted, visible};

use super::matching::{Fit, Wanted};
use super::state_dict::slots;
use super::tensors::{Tensors, unwrapped};
use super::twins::look_alikes;
use crate::networks::{ARCHITECTURES, Architecture};

/// How the tensors of a weights file were understood.
///
/// A file is searched for the tensors of all architectures, under any prefix: what a training script
/// nests, renames and stores beside the weights does not matter. Of several networks, one is chosen:
///
/// 1. weights under a name of their own before averaged ones (`ema`, `swa`, `momentum`), and before a
///    `teacher`;
/// 2. a `teacher` before its `student` if both are the same network, because it is then the student's
///    average, and after it otherwise;
/// 3. the one with more tensors, then the one that comes first in the alphabet.
#[derive(Debug, Clone)]
pub struct Understood {
    /// The network: the first of those that have these tensors.
    pub architecture: &'static Architecture,
    /// Other networks of this program that have the same tensors, and compute something else with them
    /// or expect other images.
    pub also_fits: Vec<&'static str>,
    /// Networks of other libraries that have the same tensors and compute something else with them.
    pub twins: Vec<&'static str>,
    /// The library that has these names for the tensors, or several of them separated by commas.
    pub library: &'static str,
    /// What comes before these names, for example `state_dict.module.`; empty if nothing does.
    pub prefix: String,
    /// How many tensors belong to the network, with its head.
    pub tensors: usize,
    /// The classes of the head in the file; `None` if it has none, or one of another form.
    pub classes: Option<usize>,
    /// How many other tensors the file has, which are not used.
    pub left_out: usize,
    /// The names of some of them that do not belong to [`others`](Self::others).
    pub left_out_examples: Vec<String>,
    /// Other networks in the file.
    pub others: Vec<OtherSet>,
    /// Which of the architecture's dialects the names are in.
    pub(super) dialect: usize,
}

/// A set of tensors that is a network as well and was not chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherSet {
    /// What comes before the names of its tensors.
    pub prefix: String,
    /// Its network.
    pub architecture: &'static str,
}

/// What a prefix says about the weights under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Plain,
    Student,
    Average,
    Teacher,
}

/// A network under a prefix.
struct Found {
    architecture: &'static Architecture,
    fit: Fit,
}

/// The architectures and their tensors. They are built once, without values.
fn all() -> &'static [Wanted<'static>] {
    static ALL: OnceLock<Vec<Wanted<'static>>> = OnceLock::new();
    ALL.get_or_init(|| {
        let device = Device::flex();
        let wanted = |architecture: &'static Architecture| {
            Wanted::new(
                architecture,
                slots(&architecture.uninitialized(2, &device), architecture.head),
            )
        };
        ARCHITECTURES.iter().map(wanted).collect()
    })
}

/// The tensors of the architecture of this name.
pub(super) fn wanted(name: &str) -> Option<&'static Wanted<'static>> {
    all().iter().find(|one| one.architecture.name == name)
}

/// How the tensors are understood; `None` if they are no known network. With `only`, as that one, whose head
/// may be another than usual.
pub(super) fn understand(tensors: &Tensors<'_>, only: Option<&Wanted<'_>>) -> Option<Understood> {
    let is_only = |name: &str| only.is_some_and(|only| only.architecture.name == name);
    let found: Vec<Found> = all()
        .iter()
        .flat_map(|wanted| {
            let architecture = wanted.architecture;
            let wanted = only
                .filter(|_| is_only(architecture.name))
                .unwrap_or(wanted);
            let of = move |fit| Found { architecture, fit };
            wanted.fits(tensors).into_iter().map(of)
        })
        .collect();
    let wanted = |found: &&Found| only.is_none() || is_only(found.architecture.name);
    let best = found
        .iter()
        .filter(wanted)
        .min_by_key(|one| (rank(one, &found), Reverse(one.fit.matched), &one.fit.prefix))?;
    let mut used = tensors_of(best, tensors);
    used.extend(hidden_head(best, tensors));
    let mut others: Vec<OtherSet> = Vec::new();
    for one in &found {
        let prefix = &one.fit.prefix;
        // With and without the name of the network before the others, the tensors are the same.
        let is_new = *prefix != best.fit.prefix && !tensors_of(one, tensors).is_subset(&used);
        if is_new && others.iter().all(|other| other.prefix != *prefix) {
            others.push(OtherSet {
                prefix: prefix.clone(),
                architecture: one.architecture.name,
            });
        }
    }
    let left_out = |name: &&str| !used.contains(name) && !name.ends_with("num_batches_tracked");
    let of_others = |name: &str| {
        let mut prefixes = others.iter().map(|other| other.prefix.as_str());
        prefixes.any(|prefix| !best.fit.prefix.starts_with(prefix) && name.starts_with(prefix))
    };
    let dialect = &best.architecture.dialects[best.fit.dialect];
    Some(Understood {
        architecture: best.architecture,
        also_fits: also_fits(best, &found),
        twins: look_alikes(best.architecture.name),
        library: dialect.library,
        prefix: best.fit.prefix.clone(),
        tensors: used.len(),
        classes: classes(best, tensors),
        left_out: tensors.names().filter(left_out).count(),
        left_out_examples: tensors
            .names()
            .filter(left_out)
            .filter(|name| !of_others(name))
            .take(3)
            .map(str::to_owned)
            .collect(),
        others,
        dialect: best.fit.dialect,
    })
}

/// The other architectures that have these tensors.
fn also_fits(best: &Found, found: &[Found]) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for one in found.iter().filter(|one| one.fit.prefix == best.fit.prefix) {
        let name = one.architecture.name;
        if name != best.architecture.name && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The architecture to which most tensors belong, if none has them all, and what does not match.
pub(super) fn nearest(tensors: &Tensors<'_>) -> Option<(&'static Architecture, String)> {
    let near = all()
        .iter()
        .filter_map(|wanted| Some((wanted, wanted.near(tensors)?)));
    let (wanted, fit) = near.min_by_key(|(_, fit)| fit.excess())?;
    Some((wanted.architecture, fit.problems()))
}

/// The names in the file of the tensors of a network, with its head.
fn tensors_of<'a>(found: &Found, tensors: &Tensors<'a>) -> BTreeSet<&'a str> {
    let names = found.fit.names.iter().flatten().flatten();
    let stored = names.filter_map(|name| tensors.get(&unwrapped(name)).map(|(name, _)| name));
    stored.collect()
}

/// The name in the file of a tensor of the head.
fn of_head(found: &Found, tensor: &str) -> String {
    let name = found.architecture.dialects[found.fit.dialect].name;
    let name = name(&format!("{}.{tensor}", found.architecture.head));
    format!("{}{name}", found.fit.prefix)
}

/// The tensors of a head with a hidden layer, as this program writes it: see [`Classifier`].
///
/// [`Classifier`]: crate::networks::Classifier
fn hidden_head<'a>(found: &Found, tensors: &Tensors<'a>) -> Vec<&'a str> {
    let layers = ["0.weight", "0.bias", "2.weight", "2.bias"];
    let stored = layers.map(|layer| tensors.get(&of_head(found, layer)));
    match stored {
        [
            Some((_, [units, _])),
            Some(_),
            Some((_, [_, inputs])),
            Some(_),
        ] if units == inputs => stored.iter().flatten().map(|(name, _)| *name).collect(),
        _ => Vec::new(),
    }
}

fn classes(found: &Found, tensors: &Tensors<'_>) -> Option<usize> {
    let (_, shape) = match tensors.get(&of_head(found, "weight")) {
        Some(stored) => stored,
        None if hidden_head(found, tensors).is_empty() => return None,
        None => tensors.get(&of_head(found, "2.weight"))?,
    };
    match shape {
        [classes, _, rest @ ..] if rest.iter().all(|length| *length == 1) => Some(*classes),
        _ => None,
    }
}

/// The place of a network's role in the order of choice.
fn rank(found: &Found, all: &[Found]) -> Role {
    let role = role(&found.fit.prefix);
    let same_as = |other: Role| {
        all.iter().any(|one| {
            self::role(&one.fit.prefix) == other && one.architecture.name == found.architecture.name
        })
    };
    match role {
        Role::Teacher if same_as(Role::Student) => Role::Student,
        Role::Student if same_as(Role::Teacher) => Role::Average,
        _ => role,
    }
}

/// The role that the words of a prefix name.
fn role(prefix: &str) -> Role {
    let lower = prefix.to_lowercase();
    let has = |words: &[&str]| {
        lower
            .split(['.', '_', '-'])
            .any(|word| words.contains(&word))
    };
    if has(&["teacher"]) {
        Role::Teacher
    } else if has(&["student"]) {
        Role::Student
    } else if has(&[
        "ema", "average", "averaged", "avg", "swa", "momentum", "target", "key",
    ]) || lower.split('.').any(|part| part == "encoder_k")
    {
        Role::Average
    } else {
        Role::Plain
    }
}

impl Understood {
    /// Sentences for the user about what a file has beside the weights that are used: other networks, and
    /// tensors that are left out. Each continues the name of the file and a colon.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(note) = self.choice() {
            notes.push(note);
        }
        notes.extend(self.omitted());
        notes
    }

    /// Which of several networks is used.
    fn choice(&self) -> Option<String> {
        const SHOWN: usize = 3;
        let first = self.others.first()?;
        let others: Vec<_> = self
            .others
            .iter()
            .take(SHOWN)
            .map(|other| {
                if other.architecture == self.architecture.name {
                    place(&other.prefix)
                } else {
                    format!("{} ({})", place(&other.prefix), other.architecture)
                }
            })
            .collect();
        let more = and_more(self.others.len() - others.len());
        let key = |prefix: &str| prefix.split('.').next().unwrap_or_default().to_owned();
        let remedy = match key(&first.prefix) {
            key_of_other if key_of_other.is_empty() || key_of_other == key(&self.prefix) => {
                String::new()
            }
            key_of_other => format!(", for example checkpoint[{:?}]", visible(&key_of_other)),
        };
        Some(format!(
            "it holds several sets of weights; those {} are used, not those {}{more} (to use others, save \
             them alone{remedy})",
            place(&self.prefix),
            others.join(" or "),
        ))
    }

    /// What is left out beside other networks.
    fn omitted(&self) -> Option<String> {
        if self.left_out_examples.is_empty() {
            return None;
        }
        let examples: Vec<_> = self
            .left_out_examples
            .iter()
            .map(|name| quoted(name))
            .collect();
        let what = if self.left_out == 1 {
            "1 of its tensors does not belong to the network and is".to_owned()
        } else {
            format!(
                "{} of its tensors do not belong to the network and are",
                self.left_out
            )
        };
        let listed = if self.left_out > examples.len() {
            format!("for example {}", examples.join(", "))
        } else {
            examples.join(", ")
        };
        Some(format!("{what} left out: {listed}"))
    }

    /// As which network the file was recognised, by which names, and what else the tensors could be.
    #[must_use]
    pub fn recognition(&self) -> String {
        let mut recognition = format!(
            "recognised as {} by {} tensors with the names of {}, {}",
            self.architecture.name,
            self.tensors,
            self.library,
            place(&self.prefix)
        );
        if !self.also_fits.is_empty() {
            let _ = write!(
                recognition,
                "; also fits {} (choose with --model)",
                self.also_fits.join(", ")
            );
        }
        if !self.twins.is_empty() {
            let they = match self.twins.len() {
                1 => "which has the same tensors and computes",
                _ => "which have the same tensors and compute",
            };
            let _ = write!(
                recognition,
                "; could also be {}, {they} something else",
                self.twins.join(" or ")
            );
        }
        recognition
    }

    /// How the file was understood, a line each: first the [recognition](Self::recognition), then the head,
    /// which of several networks is used, and what is left out.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let head = match self.classes {
            Some(1) => "its head has 1 class".to_owned(),
            Some(classes) => format!("its head has {classes} classes"),
            None => "it has no head that fits, so a new one is made".to_owned(),
        };
        let mut lines = vec![self.recognition(), head];
        lines.extend(self.notes());
        lines
    }
}

fn place(prefix: &str) -> String {
    if prefix.is_empty() {
        "at the top level".to_owned()
    } else {
        format!("under {}", quoted(prefix))
    }
}
