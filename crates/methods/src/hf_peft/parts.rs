//! Tensors that a library stores in several parts.

use std::borrow::Cow;
use std::ops::Range;

/// A part of a tensor in a library's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// The name of the part, or `None` for zeros that are not stored.
    pub name: Option<Cow<'a, str>>,
    /// How many times the rows of a part of one share it has.
    pub shares: usize,
}

/// The parts of a name as [`Names`](super::Names) writes it, in the order of their rows: what stands in
/// braces, separated by commas, takes turns, and `0` stands for zeros. `kv*2` is a part with twice as
/// many rows. A name without braces has one part.
#[must_use]
pub fn parts(name: &str) -> Vec<Part<'_>> {
    let Some((before, rest)) = name.split_once('{') else {
        return vec![whole(name)];
    };
    let Some((inside, after)) = rest.split_once('}') else {
        return vec![whole(name)];
    };
    let part = |one: &str| {
        let (one, shares) = match one.split_once('*') {
            Some((one, shares)) => (one, shares.parse().unwrap_or(1)),
            None => (one, 1),
        };
        Part {
            name: (one != "0").then(|| format!("{before}{one}{after}").into()),
            shares,
        }
    };
    inside.split(',').map(part).collect()
}

fn whole(name: &str) -> Part<'_> {
    Part {
        name: Some(name.into()),
        shares: 1,
    }
}

/// The rows of each part of a tensor with so many rows.
pub(super) fn ranges(parts: &[Part<'_>], rows: usize) -> Vec<Range<usize>> {
    let shares: usize = parts.iter().map(|part| part.shares).sum();
    let share = rows / shares.max(1);
    let mut end = 0;
    let next = |part: &Part<'_>| {
        let start = end;
        end += part.shares * share;
        start..end
    };
    parts.iter().map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_braces_takes_turns() {
        let named = |name: &str| -> Vec<Option<String>> {
            let parts = parts(name).into_iter();
            parts.map(|part| part.name.map(Cow::into_owned)).collect()
        };
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(named("fc.weight"), [some("fc.weight")]);
        assert_eq!(
            named("a.{q,k,v}.bias"),
            [some("a.q.bias"), some("a.k.bias"), some("a.v.bias")]
        );
        assert_eq!(named("a.{q,0,v}"), [some("a.q"), None, some("a.v")]);
        assert_eq!(named("{q,kv*2}.bias"), [some("q.bias"), some("kv.bias")]);
        assert_eq!(parts("{q,kv*2}.bias")[1].shares, 2);
    }

    #[test]
    fn parts_have_rows_by_their_shares() {
        assert_eq!(ranges(&parts("{q,k,v}.bias"), 12), [0..4, 4..8, 8..12]);
        assert_eq!(ranges(&parts("{q,kv*2}.bias"), 12), [0..4, 4..12]);
        assert_eq!(ranges(&parts("fc.bias"), 5), vec![0..5; 1]);
    }
}
