//! Matching the tensors of a file with those of an architecture, and recognising the architecture.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::Device;

use crate::networks::{ARCHITECTURES, Architecture, Sizes};
use crate::weights::state_dict::{Slot, slots};

/// How the tensors of a file match those of an architecture.
#[derive(Debug)]
pub(super) struct Fit {
    /// The tensors of the architecture.
    pub slots: Vec<Slot>,
    /// Their names in the dialect of the file, in the same order.
    pub names: Vec<String>,
    missing: Vec<String>,
    differing: Vec<String>,
    unexpected: Vec<String>,
}

type Shapes = BTreeMap<String, Vec<usize>>;

/// Compares the shapes of a file with the slots of an architecture, in the dialect that fits best.
///
/// With `new_head`, the tensors of the head are not compared.
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
        let unexpected = shapes
            .keys()
            .filter(|name| !known.contains(name) && !name.ends_with("num_batches_tracked"))
            .cloned()
            .collect();
        Fit {
            slots: Vec::new(),
            names,
            missing,
            differing,
            unexpected,
        }
    };
    let best = architecture
        .dialects
        .iter()
        .map(|dialect| in_dialect(dialect.name))
        .min_by_key(|fit| fit.missing.len() + fit.differing.len() + fit.unexpected.len());
    let mut best = best.unwrap_or_else(|| in_dialect(str::to_owned));
    best.slots = slots;
    best
}

impl Fit {
    pub(super) fn is_whole(&self) -> bool {
        self.missing.is_empty() && self.differing.is_empty() && self.unexpected.is_empty()
    }

    /// What does not match, by the names of the tensors.
    pub(super) fn problems(&self) -> String {
        let parts: Vec<_> = [
            ("missing: ", &self.missing),
            ("of another shape: ", &self.differing),
            ("unexpected: ", &self.unexpected),
        ]
        .into_iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(title, list)| format!("{title}{}", shorten(list)))
        .collect();
        parts.join("; ")
    }
}

/// The first architecture that has these tensors, not counting the head.
pub(super) fn recognize(shapes: &Shapes) -> Option<&'static Architecture> {
    ARCHITECTURES.iter().find(|architecture| {
        let slots = slots(&architecture.uninitialized(2, &Device::flex()));
        fit(slots, architecture, true, shapes).is_whole()
    })
}

/// Whether the shape in the file is that of the slot or can be resampled to it. Axes of length 1 do not
/// count: `[96, 1, 1]` is the same as `[96]`.
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

/// Whether this is a position embedding for a square with another number of patches.
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
