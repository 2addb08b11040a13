//! The tensors of a file, found by the names that a library has for them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;

use super::parts::{Part, parts, rows_of_parts};
use super::tensor_file::Entry;

/// What wrappers insert into names: `torch.compile`, FSDP and activation checkpointing.
const WRAPPERS: [&str; 3] = [
    "_orig_mod.",
    "_fsdp_wrapped_module.",
    "_checkpoint_wrapped_module.",
];

/// The tensors of a file by their names without what wrappers insert, and with dots as separators.
pub(super) struct Tensors<'a> {
    by_name: BTreeMap<Cow<'a, str>, (&'a str, &'a [usize])>,
}

/// A tensor of an architecture in a file.
pub(super) struct Stored<'a> {
    /// The names of its parts in the file; zeros are not stored.
    pub names: Vec<Option<&'a str>>,
    /// The shape of all parts together.
    pub shape: Cow<'a, [usize]>,
}

impl<'a> Tensors<'a> {
    pub(super) fn of(entries: &'a BTreeMap<String, Entry>) -> Self {
        let mut by_name = BTreeMap::new();
        for (name, entry) in entries {
            by_name.insert(unwrapped(name), (name.as_str(), entry.shape.as_slice()));
        }
        Self { by_name }
    }

    pub(super) fn get(&self, name: &str) -> Option<(&'a str, &'a [usize])> {
        self.by_name.get(name).copied()
    }

    /// The tensor that a library calls `name`, under a prefix, with this many rows if parts of it are
    /// zeros: its name in the file and its shape. If the library stores it in parts, their names.
    pub(super) fn stored(&self, prefix: &str, name: &str, rows: usize) -> Option<Stored<'a>> {
        if !name.contains('{') {
            let (name, shape) = self.get(&joined(prefix, name))?;
            return Some(Stored {
                names: vec![Some(name)],
                shape: Cow::Borrowed(shape),
            });
        }
        let parts: Vec<Part<'_>> = parts(name);
        let mut names = Vec::with_capacity(parts.len());
        let mut lengths = Vec::with_capacity(parts.len());
        let mut of_rows: Option<&[usize]> = None;
        for part in &parts {
            let Some(part) = &part.name else {
                names.push(None);
                lengths.push(None);
                continue;
            };
            let (name, shape) = self.get(&joined(prefix, part))?;
            let (first, rest) = shape.split_first()?;
            if of_rows.is_some_and(|of_rows| of_rows != rest) {
                return None;
            }
            of_rows = Some(rest);
            names.push(Some(name));
            lengths.push(Some(*first));
        }
        let lengths = rows_of_parts(&lengths, rows)?;
        let mut shape = vec![lengths.iter().sum()];
        shape.extend(of_rows.unwrap_or_default());
        Some(Stored {
            names,
            shape: shape.into(),
        })
    }

    /// Names in the file of all tensors.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.by_name.values().map(|(name, _)| *name)
    }

    /// The tensors whose names begin with a prefix: what follows it, and the names in the file.
    pub(super) fn under(&self, prefix: &str) -> impl Iterator<Item = (&str, &'a str)> {
        self.by_name
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .map_while(move |(name, (original, _))| Some((name.strip_prefix(prefix)?, *original)))
    }

    /// The prefixes under which there is a tensor of this name.
    pub(super) fn prefixes<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b str> {
        self.by_name.keys().filter_map(move |full| {
            let prefix = full.strip_suffix(name)?;
            (prefix.is_empty() || prefix.ends_with('.')).then_some(prefix)
        })
    }
}

/// A prefix and what follows it.
fn joined<'n>(prefix: &str, name: &'n str) -> Cow<'n, str> {
    if prefix.is_empty() {
        name.into()
    } else {
        format!("{prefix}{name}").into()
    }
}

/// A name without what wrappers insert, and with dots as separators.
pub(super) fn unwrapped(name: &str) -> Cow<'_, str> {
    if !name.contains('/') && !WRAPPERS.iter().any(|wrapper| name.contains(wrapper)) {
        return name.into();
    }
    // TensorFlow and JAX separate the parts of a name by slashes, and so do scripts that come from there.
    let mut name = name.replace('/', ".");
    for wrapper in WRAPPERS {
        name = name.replace(wrapper, "");
    }
    name.into()
}
