//! A picture of a report, for a page or a file of its own.

use maud::html;

/// A picture as SVG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// What it shows, as the name of a file without its ending: `training-loss`.
    pub name: String,
    /// What it shows, in words.
    pub title: String,
    /// As it is drawn: black and colours, on nothing.
    drawing: String,
}

impl Picture {
    pub(crate) fn new(name: impl Into<String>, title: impl Into<String>, drawing: String) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            drawing,
        }
    }

    /// The picture as a file of its own, on white.
    #[must_use]
    pub fn file(&self) -> String {
        let title = html! { title { (self.title) } }.into_string();
        let ground = r##"<rect width="100%" height="100%" fill="#FFFFFF"/>"##;
        self.with(" role=\"img\"", &format!("{title}{ground}"))
    }

    /// The picture as a part of a page. Black becomes `currentColor`, so that text and axes follow the
    /// page's light or dark colours.
    pub(crate) fn on_page(&self) -> String {
        let label = html! { svg aria-label=(self.title) {} }.into_string();
        let label = label.trim_start_matches("<svg").trim_end_matches("></svg>");
        self.with(&format!(" role=\"img\"{label}"), "")
            .replace("#000000", "currentColor")
            .replace("#DDDDDD", "var(--line)")
    }

    /// The drawing with more attributes of its element and more in front of its contents.
    fn with(&self, attributes: &str, contents: &str) -> String {
        match self.drawing.split_once('>') {
            Some((start, rest)) => format!("{start}{attributes}>{contents}{rest}"),
            None => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        let drawing = "<svg width=\"2\" xmlns=\"http://www.w3.org/2000/svg\">\n<line stroke=\"#000000\"/>\
                       <line stroke=\"#DDDDDD\"/></svg>";
        Picture::new("a", "a < \"b\"", drawing.to_owned())
    }

    #[test]
    fn a_file_has_its_own_ground_and_title() {
        let wanted = "<svg width=\"2\" xmlns=\"http://www.w3.org/2000/svg\" role=\"img\">\
                      <title>a &lt; &quot;b&quot;</title>\
                      <rect width=\"100%\" height=\"100%\" fill=\"#FFFFFF\"/>\n\
                      <line stroke=\"#000000\"/><line stroke=\"#DDDDDD\"/></svg>";
        assert_eq!(picture().file(), wanted);
    }

    #[test]
    fn on_a_page_a_picture_has_the_colours_of_the_page_and_a_label() {
        let wanted = "<svg width=\"2\" xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" \
                      aria-label=\"a &lt; &quot;b&quot;\">\n\
                      <line stroke=\"currentColor\"/><line stroke=\"var(--line)\"/></svg>";
        assert_eq!(picture().on_page(), wanted);
    }
}
