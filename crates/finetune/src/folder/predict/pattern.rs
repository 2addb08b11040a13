//! Paths with wildcards.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::wildcard::{fits, is_pattern};

/// What stands for any folders, or none.
const ANY: &str = "**";

/// The part of a path from its first name with wildcards on.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    names: Arc<[String]>,
}

/// A pattern of which some names have been found.
#[derive(Debug, Clone)]
pub(super) struct Partly {
    pattern: Pattern,
    /// How many names may have been found: several numbers, because `**` stands for any of them.
    found: Vec<usize>,
}

impl Pattern {
    /// The folder in which to look, and the pattern; `None` if the path has no wildcards.
    pub(super) fn of(path: &Path) -> Option<(PathBuf, Self)> {
        let mut folder = PathBuf::new();
        let mut names: Vec<String> = Vec::new();
        for part in path.components() {
            let name = part.as_os_str().to_string_lossy();
            let is_name = matches!(part, Component::Normal(_));
            if names.is_empty() && !(is_name && is_pattern(&name)) {
                folder.push(part);
            } else {
                names.push(name.into_owned());
            }
        }
        if names.last()? == ANY {
            names.push("*".to_owned());
        }
        let names = names.into();
        Some((folder, Self { names }))
    }

    pub(super) fn begun(self) -> Partly {
        Partly {
            pattern: self,
            found: vec![0],
        }
    }
}

impl Partly {
    /// The pattern for what is in the file or folder of this name.
    pub(super) fn after(&self, name: &str, is_link: bool) -> Self {
        let names = &self.pattern.names;
        let mut found = Vec::new();
        let mut open = self.found.clone();
        while let Some(at) = open.pop() {
            match names.get(at).map(String::as_str) {
                Some(ANY) => {
                    open.push(at + 1);
                    // Links may lead back to where they are.
                    if !name.starts_with('.') && !is_link {
                        found.push(at);
                    }
                }
                Some(own) if own == name || fits(own, name) => found.push(at + 1),
                _ => {}
            }
        }
        found.sort_unstable();
        found.dedup();
        Self {
            pattern: self.pattern.clone(),
            found,
        }
    }

    /// Whether all of its names have been found.
    pub(super) fn is_complete(&self) -> bool {
        self.found.last() == Some(&self.pattern.names.len())
    }

    /// Whether something in this folder may fit.
    pub(super) fn goes_on(&self) -> bool {
        self.found
            .first()
            .is_some_and(|first| *first < self.pattern.names.len())
    }

    /// Whether it finds what is in folders that fit by itself.
    pub(super) fn is_deep(&self) -> bool {
        self.pattern.names.iter().any(|name| name == ANY)
    }

    /// Whether it leaves open what kind of file is wanted.
    pub(super) fn wants_images(&self) -> bool {
        let last = self.pattern.names.last();
        last.is_some_and(|last| last.ends_with('*'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, path: &str) -> bool {
        let (folder, pattern) = Pattern::of(Path::new(pattern)).unwrap();
        let rest = Path::new(path).strip_prefix(folder).unwrap();
        let names = rest.iter().map(|name| name.to_str().unwrap());
        let partly = names.fold(pattern.begun(), |partly, name| partly.after(name, false));
        partly.is_complete()
    }

    #[test]
    fn two_stars_stand_for_any_folders_and_one_for_a_name() {
        for (pattern, path) in [
            ("/a/*/c.png", "/a/b/c.png"),
            ("a/**/c.png", "a/c.png"),
            ("a/**/c.png", "a/b/b/c.png"),
            ("**/b/**/c*", "a/b/b/d/c.png"),
            ("a/**", "a/b/c"),
            ("../?/**/**/x", "../a/x"),
        ] {
            assert!(fits(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("a/*/c.png", "a/b/b/c.png"),
            ("a/*/c.png", "a/c.png"),
            ("a/**/c.png", "a/.b/c.png"),
            ("a/**", "a"),
            ("**/b/c", "a/b/b"),
        ] {
            assert!(!fits(pattern, path), "{pattern} {path}");
        }
        assert!(Pattern::of(Path::new("/a/b.png")).is_none());
    }
}
