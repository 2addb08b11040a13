//! Matching the tensors of a file with those of an architecture: under which prefix, in whose names, and
//! what is left over.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::OnceLock;

use finetune_files::{listed, shortened, visible};

use super::parts::{Part, parts};
use super::state_dict::{POSITIONS, Slot};
use super::tensors::Tensors;
use crate::networks::{Architecture, Sizes};

/// The most prefixes that are tried for an architecture.
const MOST_PREFIXES: usize = 64;

/// An architecture's tensors.
pub(super) struct Wanted<'a> {
    pub architecture: &'a Architecture,
    pub slots: Vec<Slot>,
    /// Their names in each of its dialects, made when they are first asked for.
    names: Vec<OnceLock<Vec<String>>>,
}

/// How the tensors of a file match those of an architecture under a prefix.
#[derive(Debug, Default)]
pub(super) struct Fit {
    /// What comes before the names.
    pub prefix: String,
    /// Which of the architecture's dialects.
    pub dialect: usize,
    /// The names of the slots in the file, in the same order: those of their parts.
    pub names: Vec<Vec<Option<String>>>,
    /// How many tensors match, without those of the head.
    pub matched: usize,
    missing: Vec<String>,
    differing: Vec<String>,
    unexpected: Vec<String>,
    /// Tensors under the prefix that belong to another head or to no layer of the architecture.
    neighbours: Vec<String>,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(architecture: &'a Architecture, slots: Vec<Slot>) -> Self {
        let names = architecture.dialects.iter().map(|_| OnceLock::new());
        Self {
            names: names.collect(),
            architecture,
            slots,
        }
    }

    /// All prefixes under which the tensors of the architecture are, in any of its dialects. The head
    /// need not be there: it may have any shape.
    pub(super) fn fits(&self, tensors: &Tensors<'_>) -> Vec<Fit> {
        let mut fits: Vec<Fit> = Vec::new();
        for dialect in 0..self.architecture.dialects.len() {
            let Some(first) = self.first(dialect) else {
                continue;
            };
            for prefix in tensors.prefixes(&first).take(MOST_PREFIXES) {
                if self.is_there(dialect, prefix, tensors)
                    && fits.iter().all(|fit| fit.prefix != prefix)
                {
                    let fit = self.fit(dialect, prefix, true, tensors);
                    if fit.is_whole() {
                        fits.push(fit);
                    }
                }
            }
        }
        fits
    }

    /// The prefix and dialect under which most tensors match, if not all do.
    pub(super) fn nearest(&self, new_head: bool, tensors: &Tensors<'_>) -> Fit {
        self.nearest_of(new_head, tensors, |_, _| true)
            .unwrap_or_default()
    }

    /// As [`nearest`](Self::nearest) without the head, if most tensors match.
    pub(super) fn near(&self, tensors: &Tensors<'_>) -> Option<Fit> {
        let is_possible = |dialect, prefix: &str| self.most_match(dialect, prefix, tensors);
        self.nearest_of(true, tensors, is_possible)
            .filter(Fit::is_near)
    }

    /// The nearest of the dialects and prefixes for which `is_possible` is true.
    fn nearest_of(
        &self,
        new_head: bool,
        tensors: &Tensors<'_>,
        is_possible: impl Fn(usize, &str) -> bool,
    ) -> Option<Fit> {
        // Names from all over the network: any of them may be missing.
        const TRIED: usize = 6;
        let mut best: Option<Fit> = None;
        for dialect in 0..self.architecture.dialects.len() {
            let names = self.names(dialect);
            let mut prefixes = BTreeSet::from([String::new()]);
            for name in names.iter().step_by(names.len() / TRIED + 1) {
                let name = first_part(name);
                let found = tensors.prefixes(&name).take(MOST_PREFIXES / TRIED);
                prefixes.extend(found.map(str::to_owned));
            }
            for prefix in prefixes {
                if !is_possible(dialect, &prefix) {
                    continue;
                }
                let fit = self.fit(dialect, &prefix, new_head, tensors);
                if best
                    .as_ref()
                    .is_none_or(|best| fit.distance() < best.distance())
                {
                    best = Some(fit);
                }
            }
        }
        best
    }

    fn names(&self, dialect: usize) -> &[String] {
        let name = self.architecture.dialects[dialect].name;
        self.names[dialect].get_or_init(|| self.slots.iter().map(|slot| name(&slot.path)).collect())
    }

    /// The name of the first tensor outside the head.
    fn first(&self, dialect: usize) -> Option<String> {
        let mut slots = self.slots.iter();
        let slot = slots.find(|slot| !is_head(&slot.path, self.architecture))?;
        let name = self.architecture.dialects[dialect].name;
        Some(first_part(&name(&slot.path)))
    }

    fn is_there(&self, dialect: usize, prefix: &str, tensors: &Tensors<'_>) -> bool {
        self.body(dialect)
            .all(|(slot, name)| self.matches(slot, name, prefix, tensors))
    }

    /// Whether more of the tensors outside the head match than do not. Stops as soon as that is known.
    fn most_match(&self, dialect: usize, prefix: &str, tensors: &Tensors<'_>) -> bool {
        let mut others = self.body(dialect).count() / 2;
        self.body(dialect).all(|(slot, name)| {
            if self.matches(slot, name, prefix, tensors) {
                return true;
            }
            let left = others > 0;
            others = others.saturating_sub(1);
            left
        })
    }

    /// The tensors outside the head, and their names.
    fn body(&self, dialect: usize) -> impl Iterator<Item = (&Slot, &String)> {
        let all = self.slots.iter().zip(self.names(dialect));
        all.filter(|(slot, _)| !is_head(&slot.path, self.architecture))
    }

    fn matches(&self, slot: &Slot, name: &str, prefix: &str, tensors: &Tensors<'_>) -> bool {
        tensors
            .stored(prefix, name, slot.shape[0])
            .is_some_and(|stored| same(&stored.shape, slot, self.architecture))
    }

    /// Compares the tensors under a prefix. With `new_head`, those of the head are not compared.
    pub(super) fn fit(
        &self,
        dialect: usize,
        prefix: &str,
        new_head: bool,
        tensors: &Tensors<'_>,
    ) -> Fit {
        let wanted = self.names(dialect);
        let mut fit = Fit {
            prefix: prefix.to_owned(),
            dialect,
            ..Fit::default()
        };
        let mut known = BTreeSet::new();
        for (slot, name) in self.slots.iter().zip(wanted) {
            let parts: Vec<Part<'_>> = parts(name);
            let full = |part: &str| format!("{prefix}{part}");
            let found = tensors.stored(prefix, name, slot.shape[0]);
            let head = is_head(&slot.path, self.architecture);
            match &found {
                _ if head && new_head => {}
                None => {
                    let stored = parts.iter().filter_map(|part| part.name.as_deref());
                    let absent = |part: &&str| tensors.get(&full(part)).is_none();
                    let absent: Vec<&str> = stored.filter(absent).collect();
                    if absent.is_empty() {
                        fit.differing
                            .push(format!("{} do not belong together", full(name)));
                    }
                    fit.missing.extend(absent.into_iter().map(full));
                }
                Some(stored) if !same(&stored.shape, slot, self.architecture) => {
                    let name = stored.names.iter().copied().flatten().next();
                    fit.differing.push(format!(
                        "{} is {:?} instead of {:?}",
                        name.unwrap_or_default(),
                        stored.shape,
                        slot.shape
                    ));
                }
                Some(_) if head => {}
                Some(_) => fit.matched += 1,
            }
            let stored = found.map(|stored| stored.names.into_iter());
            fit.names.push(match stored {
                Some(names) => names.map(|name| name.map(str::to_owned)).collect(),
                None => parts
                    .iter()
                    .map(|part| part.name.as_deref().map(full))
                    .collect(),
            });
            known.extend(parts.into_iter().filter_map(|part| part.name));
        }
        let parts = Parts::of(self, wanted, dialect);
        for (name, original) in tensors.under(prefix) {
            if known.contains(name) || is_no_weight(name) {
                continue;
            }
            let list = if parts.is_neighbour(name, new_head) {
                &mut fit.neighbours
            } else {
                &mut fit.unexpected
            };
            list.push(original.to_owned());
        }
        fit
    }
}

/// The first components of an architecture's names.
struct Parts {
    /// Of its layers without the head, without digits at their ends: `layer4` would be a further layer
    /// of a network that has `layer1`.
    layers: BTreeSet<String>,
    /// What the head's names begin with.
    head: String,
    /// Whether nothing but the head has the first component of its names.
    separate: bool,
}

impl Parts {
    fn of(wanted: &Wanted<'_>, names: &[String], dialect: usize) -> Self {
        let layers: BTreeSet<String> = wanted
            .slots
            .iter()
            .zip(names)
            .filter(|(slot, _)| !is_head(&slot.path, wanted.architecture))
            .map(|(_, name)| stem(name))
            .collect();
        let name = wanted.architecture.dialects[dialect].name;
        let weight = name(&format!("{}.weight", wanted.architecture.head));
        let head = weight.strip_suffix("weight").unwrap_or(&weight).to_owned();
        Self {
            separate: !layers.contains(&stem(&head)),
            layers,
            head,
        }
    }

    /// Whether a tensor that the architecture does not have belongs to another head or to something
    /// beside the network. Inside one of its layers, it would be another network.
    fn is_neighbour(&self, name: &str, new_head: bool) -> bool {
        // Further tokens, or another way to make features of them, are another network.
        const TOKENS: [&str; 4] = ["attn_pool", "dist_token", "reg_token", "register_tokens"];
        if TOKENS
            .iter()
            .any(|token| name.split('.').next() == Some(token))
        {
            return false;
        }
        let in_head =
            name.starts_with(&self.head) || (self.separate && stem(name) == stem(&self.head));
        if in_head {
            new_head
        } else {
            !self.layers.contains(&stem(name))
        }
    }
}

/// The name of the first part of a tensor that is stored.
fn first_part(name: &str) -> String {
    let first = parts(name).into_iter().find_map(|part| part.name);
    first.map_or_else(String::new, Cow::into_owned)
}

/// Whether a tensor that an architecture does not have is none of its weights: buffers that libraries
/// compute anew, and what profilers and pretraining leave behind.
pub(super) fn is_no_weight(name: &str) -> bool {
    const NAMES: [&str; 10] = [
        "num_batches_tracked",
        "total_ops",
        "total_params",
        "relative_position_index",
        "relative_coords_table",
        "attn_mask",
        "position_ids",
        "mask_token",
        "inv_freq",
        "periods",
    ];
    NAMES.contains(&name.rsplit('.').next().unwrap_or(name))
}

/// The first component of a name, without digits at its end.
fn stem(name: &str) -> String {
    let first = name.split('.').next().unwrap_or_default();
    first
        .trim_end_matches(|character: char| character.is_ascii_digit())
        .to_owned()
}

impl Fit {
    pub(super) fn is_whole(&self) -> bool {
        self.missing.is_empty() && self.differing.is_empty() && self.unexpected.is_empty()
    }

    fn distance(&self) -> usize {
        self.missing.len() + self.differing.len() + self.unexpected.len()
    }

    /// How many more tensors do not match than do: negative if most match.
    pub(super) fn excess(&self) -> i64 {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        count(self.distance()).saturating_sub(count(self.matched))
    }

    /// Whether more tensors match than do not.
    pub(super) fn is_near(&self) -> bool {
        self.excess() < 0
    }

    /// What does not match, by the names of the tensors.
    pub(super) fn problems(&self) -> String {
        let mut unexpected = [self.unexpected.clone(), self.neighbours.clone()].concat();
        unexpected.sort_unstable();
        let parts: Vec<_> = [
            ("missing: ", &self.missing),
            ("of another shape: ", &self.differing),
            ("unexpected: ", &unexpected),
        ]
        .into_iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(title, list)| format!("{title}{}", shorten(list)))
        .collect();
        parts.join("; ")
    }
}

/// Whether the shape in the file is that of the slot or can be resampled to it. Axes of length 1 do not
/// count: `[96, 1, 1]` is the same as `[96]`. Neither does how the inputs of a matrix are divided: a
/// convolution that covers its whole input, `[4096, 512, 7, 7]`, is the same as `[4096, 25088]`.
fn same(shape: &[usize], slot: &Slot, architecture: &Architecture) -> bool {
    let squeezed = |shape: &[usize]| -> Vec<usize> {
        shape
            .iter()
            .copied()
            .filter(|length| *length != 1)
            .collect()
    };
    shape == slot.shape
        || squeezed(shape) == squeezed(&slot.shape)
        || matches!((shape, &slot.shape[..]), ([out, inputs @ ..], [slot_out, slot_inputs])
            if slot.transposed && out == slot_out && inputs.iter().product::<usize>() == *slot_inputs)
        || is_position_embedding(shape, slot, architecture)
}

/// Whether this is a position embedding for a square with another number of patches.
pub(super) fn is_position_embedding(
    shape: &[usize],
    slot: &Slot,
    architecture: &Architecture,
) -> bool {
    patches_of(shape, slot, architecture).is_some()
}

/// The number of patches that a position embedding of this shape is for, if it is one of a square. Some
/// libraries have it as a matrix, and some give the class token a position where others have none.
pub(super) fn patches_of(
    shape: &[usize],
    slot: &Slot,
    architecture: &Architecture,
) -> Option<usize> {
    let ([1, tokens, width] | [tokens, width]) = *shape else {
        return None;
    };
    let is_position = matches!(architecture.sizes, Sizes::MultipleOf(_))
        && slot.path == POSITIONS
        && width == slot.shape[2];
    let is_square = |patches: &usize| *patches > 0 && patches.isqrt().pow(2) == *patches;
    let of = |prefix| tokens.checked_sub(prefix).filter(is_square);
    let prefix = architecture.prefix_tokens;
    let patches = of(prefix).or_else(|| of(1).filter(|_| prefix == 0));
    patches.filter(|_| is_position)
}

pub(super) fn is_head(path: &str, architecture: &Architecture) -> bool {
    path.strip_prefix(architecture.head)
        .is_some_and(|rest| rest.starts_with('.'))
}

fn shorten(list: &[String]) -> String {
    listed(list, 4, |name| visible(&shortened(name, 120)).into_owned())
}
