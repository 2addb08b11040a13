//! Text from outside, as it is shown in messages.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

use unicode_normalization::is_nfc;

/// The most characters of a name that are shown.
const MOST: usize = 200;

/// A name from outside between backticks: what does not print is escaped, of a long name the middle is
/// left out, and a name that looks like another one because its accents are characters of their own
/// (NFD, as macOS writes names) is marked.
#[must_use]
pub fn quoted(text: &str) -> String {
    let shown = shortened(text, MOST);
    let mut quoted = format!("`{}`", visible(&shown));
    let start: String = text.chars().take(MOST).collect();
    if !is_nfc(&start) {
        quoted.push_str(" (its accents are separate characters, Unicode NFD)");
    }
    quoted
}

/// A path from outside, as [`quoted`]. Bytes that are not UTF-8 are escaped.
#[must_use]
pub fn quoted_path(path: &Path) -> String {
    if let Some(text) = path.to_str() {
        return quoted(text);
    }
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    quoted(&text)
}

/// The known name that is most similar to a name, if it is similar enough to be what was meant.
///
/// ```
/// use finetune_files::nearest;
///
/// assert_eq!(nearest("lorra", ["sft", "lora"]), Some("lora"));
/// assert_eq!(nearest("ResNet_18", ["resnet18", "resnet50"]), Some("resnet18"));
/// assert_eq!(nearest("cats", ["sft", "lora"]), None);
/// ```
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const SIMILAR: f64 = 0.8;
    let plain = |name: &str| -> String {
        let letters = name
            .chars()
            .take(MOST)
            .filter(|letter| letter.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect()
    };
    let wanted = plain(name);
    let known = known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(&wanted, &plain(known)), known));
    let nearest = known.max_by(|a, b| a.0.total_cmp(&b.0));
    nearest
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .map(|(_, known)| known)
}

/// A question about the known name that was probably meant, as a continuation of a sentence; empty if
/// none is similar enough.
///
/// ```
/// assert_eq!(finetune_files::meant("lorra", ["sft", "lora"]), ", did you mean `lora`?");
/// assert_eq!(finetune_files::meant("cats", ["sft", "lora"]), "");
/// ```
#[must_use]
pub fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let nearest = nearest(name, known);
    nearest.map_or_else(String::new, |nearest| {
        format!(", did you mean {}?", quoted(nearest))
    })
}

/// What to say if no thing of a kind has a name: the name, the one that was probably meant, and all.
///
/// ```
/// let text = finetune_files::unknown("method", "lorra", &["sft", "lora"]);
/// assert_eq!(text, "there is no method `lorra`, did you mean `lora`? methods: sft, lora");
/// ```
#[must_use]
pub fn unknown(kind: &str, name: &str, known: &[&str]) -> String {
    let meant = meant(name, known.iter().copied());
    format!(
        "there is no {kind} {}{meant}{} {kind}s: {}",
        quoted(name),
        if meant.is_empty() { ";" } else { "" },
        known.join(", ")
    )
}

/// The first items of a list, at most `most`, separated by commas, and how many more there are.
///
/// ```
/// use finetune_files::{listed, quoted};
///
/// let names = ["a", "b", "c", "d"];
/// assert_eq!(listed(&names, 2, |name| quoted(name)), "`a`, `b` and 2 more");
/// assert_eq!(listed(&names, 4, ToString::to_string), "a, b, c, d");
/// ```
#[must_use]
pub fn listed<T>(items: &[T], most: usize, show: impl Fn(&T) -> String) -> String {
    let shown: Vec<String> = items.iter().take(most).map(show).collect();
    shown.join(", ") + &and_more(items.len() - shown.len())
}

/// The end of a list of which some items are not shown: ` and 3 more`; empty if all are.
#[must_use]
pub fn and_more(items: usize) -> String {
    match items {
        0 => String::new(),
        items => format!(" and {items} more"),
    }
}

/// Bytes in hexadecimal, two lower-case digits each.
///
/// ```
/// assert_eq!(finetune_files::hexadecimal(&[0, 0xba]), "00ba");
/// ```
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // writing to a string cannot fail
            text
        })
}

/// Text without its middle if it has more than `most` characters.
#[must_use]
pub fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    // A character has at least one byte, so that most texts need not be counted.
    if text.len() <= most {
        return text.into();
    }
    let count = text.chars().count();
    if count <= most {
        return text.into();
    }
    let half = most / 2;
    let start: String = text.chars().take(half).collect();
    let mut end: Vec<char> = text.chars().rev().take(half).collect();
    end.reverse();
    let end: String = end.into_iter().collect();
    format!("{start}… ({} characters left out) …{end}", count - 2 * half).into()
}

/// Text whose characters all print: control characters, and those that change the direction of the text
/// or are invisible, are escaped as in Rust and Python (`\x1b`, `\n`, `\u{202e}`).
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().all(prints) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            _ if prints(character) => shown.push(character),
            _ if character.is_ascii() => {
                let _ = write!(shown, "\\x{:02x}", u32::from(character));
            }
            _ => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
            }
        }
    }
    shown.into()
}

/// Whether a terminal shows a character where it stands and does nothing else.
fn prints(character: char) -> bool {
    let invisible = matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}');
    !character.is_control() && !invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_so_that_differences_can_be_seen() {
        assert_eq!(quoted("red "), "`red `");
        assert_eq!(quoted("a\nb\u{9b}31m\u{202e}"), r"`a\nb\u{9b}31m\u{202e}`");
        assert_eq!(
            quoted("caf\u{e9} 日本 किताब 👩\u{200d}🔬"),
            "`caf\u{e9} 日本 किताब 👩\u{200d}🔬`"
        );
        let decomposed = quoted("cafe\u{301}");
        assert_eq!(
            decomposed,
            "`cafe\u{301}` (its accents are separate characters, Unicode NFD)"
        );
    }

    #[test]
    #[cfg(unix)]
    fn bytes_that_are_not_utf8_are_shown_as_numbers() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"caf\xe9/a.png"));
        assert_eq!(quoted_path(path), r"`caf\xe9/a.png`");
    }

    #[test]
    fn a_long_text_loses_its_middle() {
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(shortened("äöüäöü", 6), "äöüäöü");
        assert_eq!(shortened("abcdefg", 4), "ab… (3 characters left out) …fg");
        assert!(quoted(&"x".repeat(100_000_000)).len() < 300);
    }
}
