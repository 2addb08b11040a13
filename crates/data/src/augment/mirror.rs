//! What the names of a data set say about mirrored pictures.

/// Words that begin the names of classes or data sets in which left and right differ.
const WORDS: [&str; 20] = [
    "alphabet",
    "arrow",
    "character",
    "digit",
    "emnist",
    "font",
    "glyph",
    "gtsrb",
    "handwriting",
    "handwritten",
    "kanji",
    "letter",
    "mnist",
    "notmnist",
    "number",
    "ocr",
    "omniglot",
    "sign",
    "svhn",
    "text",
];

/// The digits as words.
const DIGITS: [&str; 10] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
];

/// Why a mirrored picture may be of another class, or of none, as far as the names of a data set and
/// of its classes tell: digits, letters and signs. `None` if nothing in the names says so.
///
/// The reason is a clause that can follow "because": `the classes are numbers`.
///
/// ```
/// use finetune_data::augment::not_mirrored;
///
/// let classes = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
/// assert_eq!(not_mirrored("photos", &classes(&["cat", "dog"])), None);
/// assert_eq!(not_mirrored("photos", &classes(&["0", "1"])).unwrap(), "the classes are numbers");
/// ```
#[must_use]
pub fn not_mirrored(data: &str, classes: &[String]) -> Option<String> {
    if classes.is_empty() {
        return None;
    }
    let words: Vec<Vec<String>> = classes.iter().map(|class| words(class)).collect();
    // Both sides of a body are told apart even if they are two of many classes.
    let sided = |words: &&Vec<String>| words.iter().any(|word| word == "left" || word == "right");
    if words.iter().filter(sided).count() > 0 {
        return Some("classes are called left or right".to_owned());
    }
    let share = |is: &dyn Fn(&[String]) -> bool| {
        let many = words.iter().filter(|words| is(words)).count();
        2 * many >= classes.len()
    };
    if share(&|words| words.iter().all(|word| is_number(word)) && !words.is_empty()) {
        return Some("the classes are numbers".to_owned());
    }
    if share(&|words| words.len() == 1 && words[0].chars().count() == 1) {
        return Some("the classes are letters".to_owned());
    }
    let known = |word: &String| WORDS.iter().any(|known| is_word(word, known));
    if share(&|words| words.iter().any(known)) {
        let word = words.iter().flatten().find(|word| known(word))?;
        return Some(format!("classes are called \"{word}\""));
    }
    let word = self::words(data).into_iter().find(known)?;
    Some(format!("the images are called \"{word}\""))
}

/// Whether a word is the known one, in the singular or plural.
fn is_word(word: &str, known: &str) -> bool {
    word.strip_prefix(known)
        .is_some_and(|rest| rest.is_empty() || rest == "s")
}

fn is_number(word: &str) -> bool {
    word.chars().all(|one| one.is_ascii_digit()) || DIGITS.contains(&word)
}

/// The words of a name in lower case: they end at blanks, punctuation and capitals after small letters.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for one in name.chars() {
        let begins = one.is_uppercase() && before.is_lowercase();
        if !one.is_alphanumeric() || begins {
            words.push(String::new());
        }
        if one.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(one.to_lowercase());
        }
        before = one;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(data: &str, classes: &[&str]) -> Option<String> {
        let classes: Vec<String> = classes.iter().map(|class| (*class).to_owned()).collect();
        not_mirrored(data, &classes)
    }

    #[test]
    fn names_of_photographs_say_nothing() {
        for (data, classes) in [
            ("flowers", &["daisy", "rose", "dandelion"][..]),
            ("my photos", &["ant", "bee"]),
            ("design", &["chair", "table"]),
            ("context", &["inside", "outside"]),
            ("animals", &["cat", "dog", "number of birds"]),
            ("", &[]),
            // Most of the classes are things.
            ("street", &["car", "bicycle", "stop sign", "bench"]),
            ("wheels", &["1", "bicycle", "car"]),
        ] {
            assert_eq!(reason(data, classes), None, "{data}");
        }
    }

    #[test]
    fn digits_letters_and_signs_are_recognised() {
        let numbers = Some("the classes are numbers".to_owned());
        let letters = Some("the classes are letters".to_owned());
        assert_eq!(reason("photos", &["0", "1", "2"]), numbers);
        assert_eq!(reason("photos", &["00000", "00013"]), numbers);
        assert_eq!(reason("photos", &["Zero", "one", "Two"]), numbers);
        assert_eq!(reason("hands", &["A", "b", "space", "C"]), letters);
        assert_eq!(reason("hands", &["ä", "д"]), letters);
        for (data, classes, word) in [
            ("photos", &["stop sign", "yield_sign"][..], "sign"),
            ("photos", &["ArrowUp", "ArrowDown"], "arrow"),
        ] {
            let wanted = format!("classes are called \"{word}\"");
            assert_eq!(reason(data, classes), Some(wanted));
        }
        for (data, word) in [
            ("traffic-signs", "signs"),
            ("/home/me/TrafficSigns", "signs"),
            ("MNIST", "mnist"),
            ("scanned digits", "digits"),
        ] {
            let wanted = format!("the images are called \"{word}\"");
            assert_eq!(reason(data, &["stop", "yield"]), Some(wanted));
        }
        let sides = Some("classes are called left or right".to_owned());
        assert_eq!(
            reason("x-rays", &["hand left", "hand right", "knee"]),
            sides
        );
        assert_eq!(reason("faces", &["LookingRight", "straight"]), sides);
    }
}
