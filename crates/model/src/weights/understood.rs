//! Which network the tensors of a file are, where in the file they are, and what else is there.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::OnceLock;

use burn::tensor::Device;
use finetune_files::{and_more, quoted, visible};

use super::matching::{Fit, Tensors, Wanted, unwrapped};
use super::state_dict::slots;
use super::twins::twins;
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
        let wanted = |architecture: &'static Architecture| Wanted {
            architecture,
            slots: slots(&architecture.uninitialized(2, &device)),
        };
        ARCHITECTURES.iter().map(wanted).collect()
    })
}

/// How the tensors are understood; `None` if they are no known network. With `only`, as that one.
pub(super) fn understand(tensors: &Tensors<'_>, only: Option<&str>) -> Option<Understood> {
    let found: Vec<Found> = all()
        .iter()
        .flat_map(|wanted| {
            let of = |fit| Found {
                architecture: wanted.architecture,
                fit,
            };
            wanted.fits(tensors).into_iter().map(of)
        })
        .collect();
    let wanted = |found: &&Found| only.is_none_or(|only| found.architecture.name == only);
    let best = found
        .iter()
        .filter(wanted)
        .min_by_key(|one| (rank(one, &found), Reverse(one.fit.matched), &one.fit.prefix))?;
    let used = tensors_of(best, tensors);
    let mut others: Vec<OtherSet> = Vec::new();
    for one in &found {
        let prefix = &one.fit.prefix;
        // A library's model without a head has the tensors of its model with one, under a longer prefix.
        let is_best = || tensors_of(one, tensors).is_subset(&used);
        if *prefix != best.fit.prefix
            && others.iter().all(|other| other.prefix != *prefix)
            && !is_best()
        {
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
        also_fits: found
            .iter()
            .filter(|one| one.fit.prefix == best.fit.prefix)
            .map(|one| one.architecture.name)
            .filter(|name| *name != best.architecture.name)
            .collect(),
        twins: twins(best.architecture.name),
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

/// The architecture to which most tensors belong, if none has them all, and what does not match.
pub(super) fn nearest(tensors: &Tensors<'_>) -> Option<(&'static Architecture, String)> {
    let fits = all()
        .iter()
        .map(|wanted| (wanted, wanted.nearest(true, tensors)));
    let near = fits.filter(|(_, fit)| fit.is_near());
    let (wanted, fit) = near.min_by_key(|(_, fit)| fit.excess())?;
    Some((wanted.architecture, fit.problems()))
}

/// The names in the file of the tensors of a network, with its head.
fn tensors_of<'a>(found: &Found, tensors: &Tensors<'a>) -> BTreeSet<&'a str> {
    let names = found.fit.names.iter().flatten().flatten();
    let stored = names.filter_map(|name| tensors.get(&unwrapped(name)).map(|(name, _)| name));
    stored.collect()
}

fn classes(found: &Found, tensors: &Tensors<'_>) -> Option<usize> {
    let name = found.architecture.dialects[found.fit.dialect].name;
    let head = name(&format!("{}.weight", found.architecture.head));
    let (_, shape) = tensors.get(&format!("{}{head}", found.fit.prefix))?;
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
