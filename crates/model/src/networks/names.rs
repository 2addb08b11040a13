//! Renaming the parts of paths, for the names that PyTorch's libraries have for tensors.

/// Replaces the beginning of a path by the first pair of `names` that matches: with
/// `("stem", "features.0")`, `stem.weight` becomes `features.0.weight`.
pub(crate) fn renamed(path: &str, names: &[(&str, &str)]) -> String {
    let of = |(from, to): &(&str, &str)| Some(format!("{to}{}", tail(path, from)?));
    names.iter().find_map(of).unwrap_or_else(|| path.to_owned())
}

/// What follows `beginning` in a path, if it ends there or at a dot.
fn tail<'a>(path: &'a str, beginning: &str) -> Option<&'a str> {
    let tail = path.strip_prefix(beginning)?;
    (tail.is_empty() || tail.starts_with('.')).then_some(tail)
}

/// Splits off the number that a path begins with.
pub(crate) fn numbered(path: &str) -> Option<(usize, &str)> {
    let (number, rest) = path.split_once('.')?;
    Some((number.parse().ok()?, rest))
}
