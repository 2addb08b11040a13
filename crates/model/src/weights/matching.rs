//! Which of a file's tensors goes where, and what to say where they do not fit.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::Device;

use crate::networks::{ARCHITECTURES, Architecture, Sizes};
use crate::weights::state_dict::{Slot, slots};

/// How a file's tensors fit an architecture.
#[derive(Debug)]
pub(super) struct Fit {
    /// The architecture's tensors.
    pub slots: Vec<Slot>,
    /// The names that the file's dialect has for them, in the same order.
    pub names: Vec<String>,
    missing: Vec<String>,
    differing: Vec<String>,
    left_over: Vec<String>,
}

type Shapes = BTreeMap<String, Vec<usize>>;

/// Compares a file's shapes with an architecture's slots, in the dialect that fits best.
///
/// The head is left out where a new one is to be made.
pub(super) fn fit(
    slots: Vec<Slot>,
    architecture: &Architecture,
    new_head: bool,
    shapes: &Shapes,
) -> Fit {
    let in_dialect = |name: fn(&str) -> String| {
        let names: Vec<_> = slots.iter().map(|slot| name(&slot.path)).collect();
        let (mut missing, mut differing) = (Vec::new(), Vec::new());
        for (slot, name) in slots.iter().zip(&names) {
            if new_head && is_head(&slot.path, architecture) {
                continue;
            }
            match shapes.get(name) {
                None => missing.push(name.clone()),
                Some(shape) if !same(shape, slot, architecture) => {
                    differing.push(format!("{name} is {shape:?} instead of {:?}", slot.shape));
                }
                Some(_) => {}
            }
        }
        let known: BTreeSet<&String> = names.iter().collect();
        let left_over = shapes
            .keys()
            .filter(|name| !known.contains(name) && !name.ends_with("num_batches_tracked"))
            .cloned()
            .collect();
        Fit {
            slots: Vec::new(),
            names,
            missing,
            differing,
            left_over,
        }
    };
    let best = architecture
        .dialects
        .iter()
        .map(|dialect| in_dialect(dialect.name))
        .min_by_key(|fit| fit.missing.len() + fit.differing.len() + fit.left_over.len());
    let mut best = best.unwrap_or_else(|| in_dialect(str::to_owned));
    best.slots = slots;
    best
}

impl Fit {
    pub(super) fn is_whole(&self) -> bool {
        self.missing.is_empty() && self.differing.is_empty() && self.left_over.is_empty()
    }

    /// What is wrong, by name.
    pub(super) fn problems(&self) -> String {
        let parts: Vec<_> = [
            ("missing: ", &self.missing),
            ("of another shape: ", &self.differing),
            ("left over: ", &self.left_over),
        ]
        .into_iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(title, list)| format!("{title}{}", shorten(list)))
        .collect();
        parts.join("; ")
    }
}

/// The first architecture that the tensors fit, its head aside.
pub(super) fn recognize(shapes: &Shapes) -> Option<&'static Architecture> {
    ARCHITECTURES.iter().find(|architecture| {
        let slots = slots(&architecture.uninitialized(2, &Device::flex()));
        fit(slots, architecture, true, shapes).is_whole()
    })
}

/// Whether the file's shape is the slot's, but for axes of length 1 (`[96, 1, 1]` for `[96]`), or
/// can be made so.
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
        || is_position_embedding(shape, slot, architecture)
}

/// Whether this is a position embedding for another number of patches, in a square as well.
pub(super) fn is_position_embedding(
    shape: &[usize],
    slot: &Slot,
    architecture: &Architecture,
) -> bool {
    matches!(architecture.sizes, Sizes::MultipleOf(_))
        && slot.path == "pos_embed"
        && shape.len() == 3
        && shape[0] == 1
        && shape[2] == slot.shape[2]
        && shape[1] > 1
        && (shape[1] - 1).isqrt().pow(2) == shape[1] - 1
}

pub(super) fn is_head(path: &str, architecture: &Architecture) -> bool {
    path.strip_prefix(architecture.head)
        .is_some_and(|rest| rest.starts_with('.'))
}

fn shorten(list: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown = list[..list.len().min(SHOWN)].join(", ");
    match list.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
