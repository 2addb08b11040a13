//! Images that have something in common: those of one animal, patient or burst. If some of them train
//! and others test, the test is too easy.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use regex::Regex;

use super::set::ImageSet;
use super::source::Source;
use crate::error::DataError;

/// Names of the column of groups in a manifest or a table, the preferred ones first, as [`plain`] writes
/// them.
pub(super) const COLUMNS: [&str; 3] = ["group", "groupid", "groups"];

/// A column's name without case and punctuation.
pub(super) fn plain(name: &str) -> String {
    let letters = name.chars().filter(|character| character.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

/// One text for all that are equal to it: a million images share a few groups.
pub(super) fn interned(texts: &mut HashSet<Arc<str>>, text: &str) -> Arc<str> {
    if let Some(known) = texts.get(text) {
        return Arc::clone(known);
    }
    let text: Arc<str> = text.into();
    texts.insert(Arc::clone(&text));
    text
}

/// Sets the group of each image whose file name matches a pattern: what the first group of the pattern
/// in parentheses matches, or the whole match. Returns the number of images that match.
///
/// # Errors
///
/// [`DataError::Pattern`] if it is no regular expression.
pub(super) fn group_by(set: &mut ImageSet, pattern: &str) -> Result<usize, DataError> {
    let regex = Regex::new(pattern).map_err(|error| DataError::Pattern {
        pattern: pattern.to_owned(),
        reason: error.to_string(),
    })?;
    let mut known: HashSet<Arc<str>> = HashSet::new();
    let mut matches = 0;
    for sample in &mut set.samples {
        let name = file_name(&sample.source);
        let Some(found) = regex.captures(&name) else {
            continue;
        };
        let Some(text) = found.get(1).or_else(|| found.get(0)) else {
            continue;
        };
        matches += 1;
        sample.group = Some(interned(&mut known, text.as_str()));
    }
    Ok(matches)
}

fn file_name(source: &Source) -> String {
    let name = source.own_name();
    let last = Path::new(&name).file_name();
    last.map_or(name.clone(), |last| last.to_string_lossy().into_owned())
}

/// Number of groups of a set; images of no group are not counted.
pub(super) fn count(set: &ImageSet) -> usize {
    let groups = set
        .samples
        .iter()
        .filter_map(|sample| sample.group.as_ref());
    groups.collect::<HashSet<_>>().len()
}

/// Number of groups of each class; an image of no group counts as one.
pub(super) fn per_class(set: &ImageSet) -> Vec<usize> {
    let mut groups = vec![HashSet::new(); set.classes.len()];
    let mut single = vec![0; set.classes.len()];
    for sample in &set.samples {
        match &sample.group {
            Some(group) => {
                groups[sample.label].insert(group);
            }
            None => single[sample.label] += 1,
        }
    }
    let groups = groups.iter().zip(single);
    groups
        .map(|(groups, single)| groups.len() + single)
        .collect()
}

/// Number of images of a set that are of a group of another one.
pub(super) fn shared(set: &ImageSet, other: &ImageSet) -> usize {
    let others: HashSet<&Arc<str>> = other
        .samples
        .iter()
        .filter_map(|sample| sample.group.as_ref())
        .collect();
    let groups = set
        .samples
        .iter()
        .filter_map(|sample| sample.group.as_ref());
    groups.filter(|group| others.contains(group)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::Sample;

    #[test]
    fn patterns_take_the_part_in_parentheses_or_the_whole_match() {
        let set_of = |names: &[&str]| ImageSet {
            classes: vec!["any".to_owned()],
            samples: names
                .iter()
                .map(|name| Sample::new(Source::File(Path::new("2024/a").join(name)), 0))
                .collect(),
        };
        let names = ["cow7_1.jpg", "cow7_2.jpg", "cow12_1.jpg", "other.jpg"];
        let groups = |pattern: &str| {
            let mut set = set_of(&names);
            let matches = group_by(&mut set, pattern).unwrap();
            let groups = set.samples.iter().map(|sample| sample.group.clone());
            let groups: Vec<_> = groups
                .map(|group| group.map(|group| group.to_string()))
                .collect();
            (matches, groups)
        };
        let some = |text: &str| Some(text.to_owned());
        let (matches, found) = groups(r"cow(\d+)_");
        assert_eq!(
            (matches, found),
            (3, vec![some("7"), some("7"), some("12"), None])
        );
        let (_, found) = groups(r"^[a-z]+\d+");
        assert_eq!(found, [some("cow7"), some("cow7"), some("cow12"), None]);
        // Folders are not looked at.
        assert_eq!(groups("2024").0, 0);
        assert!(group_by(&mut set_of(&names), "(").is_err());
    }
}
