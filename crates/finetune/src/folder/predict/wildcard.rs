//! File names with wildcards: `*`, `?`, `[a-z]` and `[!a-z]`, as in a shell.
//!
//! Shells expand them before a program sees them, except between quotes, and not at all on Windows.

/// Whether a name contains wildcards.
pub(super) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// Whether a name fits a pattern. A `.` at its beginning must be written in the pattern.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut from) = (0, 0);
    // Where to go on if what follows the last `*` does not fit: the `*` takes one character more.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match (pattern.get(at), name.get(from)) {
            (None, None) => return true,
            (Some('*'), _) => {
                retry = Some((at + 1, from));
                at += 1;
                continue;
            }
            (Some(_), Some(character)) => one(&pattern[at..], *character),
            _ => None,
        };
        match (step, retry) {
            (Some(length), _) => {
                at += length;
                from += 1;
            }
            (None, Some((after, start))) if start < name.len() => {
                (at, from) = (after, start + 1);
                retry = Some((after, start + 1));
            }
            (None, _) => return false,
        }
    }
}

/// The length of the beginning of a pattern that stands for one character, if it is this one.
fn one(pattern: &[char], character: char) -> Option<usize> {
    match pattern[0] {
        '?' => Some(1),
        '[' => match set(pattern) {
            Some((length, members, negated)) => {
                let has = members
                    .iter()
                    .any(|[from, to]| (*from..=*to).contains(&character));
                (has != negated).then_some(length)
            }
            // A bracket that is not closed is itself.
            None => (character == '[').then_some(1),
        },
        own => (own == character).then_some(1),
    }
}

/// The length of a set of characters, its ranges, and whether it has all others; `None` if it has no end.
fn set(pattern: &[char]) -> Option<(usize, Vec<[char; 2]>, bool)> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let first = if negated { 2 } else { 1 };
    // A bracket that comes first is a member.
    let end = first
        + 1
        + pattern
            .get(first + 1..)?
            .iter()
            .position(|one| *one == ']')?;
    let mut members = Vec::new();
    let mut rest = &pattern[first..end];
    while let [from, more @ ..] = rest {
        if let ['-', to, more @ ..] = more {
            members.push([*from, *to]);
            rest = more;
        } else {
            members.push([*from, *from]);
            rest = more;
        }
    }
    Some((end + 1, members, negated))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_a_shell() {
        for (pattern, names) in [
            ("*.jpg", &["a.jpg", "a.b.jpg", "é.jpg"][..]),
            ("*", &["a", "a.jpg"]),
            ("a*b*c", &["abc", "aXbYc", "abbbc", "abcbc"]),
            ("?.png", &["a.png", "é.png", "\u{fffd}.png"]),
            ("[a-c1].png", &["b.png", "1.png"]),
            ("[!a-c].png", &["d.png", "-.png"]),
            ("[]x-].png", &["].png", "x.png", "-.png"]),
            ("a[1", &["a[1"]),
            (".*", &[".hidden"]),
        ] {
            for name in names {
                assert!(fits(pattern, name), "{pattern} {name}");
            }
            assert!(is_pattern(pattern));
        }
        for (pattern, name) in [
            ("*.jpg", "a.jpgx"),
            ("*.jpg", ".jpg"),
            ("*", ".hidden"),
            ("?", ""),
            ("?", "ab"),
            ("[a-c]", "d"),
            ("[!a-c]", "b"),
            ("a*b", "acbd"),
            ("?hidden", ".hidden"),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
        assert!(!is_pattern("a]{b}.jpg"));
        // No time that grows exponentially with the number of stars.
        assert!(!fits(&"a*".repeat(30), &"a".repeat(29)));
        assert!(!fits(&format!("{}b", "a*".repeat(30)), &"a".repeat(5000)));
    }
}
