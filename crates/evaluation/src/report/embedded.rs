//! Pictures inside of the page.

use maud::{Markup, html};

/// A JPEG in base64 as an image; nothing if it is something else.
pub(super) fn jpeg(base64: &str, alt: &str) -> Markup {
    html! { @if is_base64(base64) {
        img src={ "data:image/jpeg;base64," (base64) } loading="lazy" alt=(alt);
    } }
}

/// Whether a text is base64: a report may come from anywhere.
fn is_base64(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
}
