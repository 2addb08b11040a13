//! Lines of help. clap breaks none itself.

/// Columns of a terminal that help is written for.
pub(in crate::flags) const TERMINAL: usize = 100;

/// Columns of a long help text, which clap indents by 10.
pub(in crate::flags) const COLUMNS: usize = TERMINAL - 10;

/// A space at which no line is broken.
pub(in crate::flags) const NO_BREAK: char = '\u{a0}';

/// Breaks a text at its spaces into lines of so many columns.
pub(in crate::flags) fn wrapped(text: &str, columns: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let fits = |line: &&mut String| {
            line.is_empty() || line.chars().count() + 1 + word.chars().count() <= columns
        };
        match lines.last_mut().filter(fits) {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines.join("\n").replace(NO_BREAK, " ")
}
