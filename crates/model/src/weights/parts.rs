//! Tensors that a library stores in several parts.

use std::borrow::Cow;

/// A part of a tensor in a library's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// The name of the part, or `None` for zeros that are not stored.
    pub name: Option<Cow<'a, str>>,
    /// How many times the rows of a part of one share it has.
    pub shares: usize,
}

/// The parts of a name as a [dialect](crate::networks) writes it, in the order of their rows: what stands
/// in braces, separated by commas, takes turns, and `0` stands for zeros. `kv*2` is a part with twice as
/// many rows. A name without braces has one part.
pub(crate) fn parts(name: &str) -> Vec<Part<'_>> {
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

/// The rows of each part of a tensor with so many rows: the stored ones as they are, zeros for the rest.
/// `None` if they do not make that many.
pub(crate) fn rows_of_parts(stored: &[Option<usize>], rows: usize) -> Option<Vec<usize>> {
    let known: usize = stored.iter().flatten().sum();
    let zeros = stored.iter().filter(|part| part.is_none()).count();
    let left = rows.checked_sub(known)?;
    let share = match zeros {
        0 if left == 0 => 0,
        0 => return None,
        _ if left % zeros == 0 => left / zeros,
        _ => return None,
    };
    Some(stored.iter().map(|part| part.unwrap_or(share)).collect())
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
    fn zeros_have_the_rows_that_are_left() {
        assert_eq!(rows_of_parts(&[Some(3)], 3), Some(vec![3]));
        assert_eq!(rows_of_parts(&[Some(3)], 4), None);
        assert_eq!(
            rows_of_parts(&[Some(4), None, Some(4)], 12),
            Some(vec![4; 3])
        );
        assert_eq!(rows_of_parts(&[None, Some(5)], 6), Some(vec![1, 5]));
        assert_eq!(rows_of_parts(&[Some(7), None], 6), None);
    }
}
