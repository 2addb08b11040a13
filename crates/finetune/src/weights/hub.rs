//! Files on the Hugging Face Hub.

use std::path::PathBuf;

use super::progress::OnProgress;
use crate::error::Error;

/// The weights files that a repository or folder may have, in the order in which Hugging Face's libraries
/// look for them, and those of `open_clip`.
pub(super) const FILES: [&str; 6] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
];

/// Weights on the Hugging Face Hub: `hf:OWNER/NAME[@REVISION][/FILE]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubFile {
    /// The repository's owner.
    pub owner: String,
    /// The repository's name.
    pub name: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// Path in the repository; `None` is the first that there is of `model.safetensors`, its index,
    /// `pytorch_model.bin`, its index, and the files of `open_clip`.
    pub file: Option<String>,
}

impl HubFile {
    /// Parses what follows `hf:`. The default revision is `main`.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if a part is missing.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut parts = text.splitn(3, '/');
        let (owner, name) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        let file = parts.next();
        let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
        if [owner, name, revision].iter().any(|part| part.is_empty()) || file == Some("") {
            return Err(Error::Usage(format!(
                "`hf:{text}` does not name a file on the Hub; write \
                 hf:OWNER/NAME[@REVISION][/FILE]"
            )));
        }
        Ok(Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
            revision: revision.to_owned(),
            file: file.map(str::to_owned),
        })
    }

    /// The repository: `OWNER/NAME`.
    #[must_use]
    pub fn repository(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// The file in the repository that is asked for first.
    #[must_use]
    pub fn first(&self) -> &str {
        self.file.as_deref().unwrap_or(FILES[0])
    }

    /// The file on this machine.
    ///
    /// # Errors
    ///
    /// Always: the program was built without the feature `hub`.
    #[cfg(not(feature = "hub"))]
    #[allow(clippy::needless_pass_by_value)] // as with the feature
    pub fn fetch(&self, _: Option<OnProgress>) -> Result<PathBuf, Error> {
        Err(Error::Usage(format!(
            "this program was built without the Hub; build it with `--features hub` (`cargo xtask …` \
             does if a flag names hf: or timm:), or download `{}` of {}/{} and give its path with \
             --weights FILE",
            self.first(),
            self.owner,
            self.name
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_the_hub_are_parsed() {
        let parse = |text| {
            HubFile::parse(text).map(|f| {
                let file = f.file.unwrap_or_else(|| "-".to_owned());
                [f.owner, f.name, f.revision, file].join(" ")
            })
        };
        assert_eq!(
            parse("timm/resnet18.a1_in1k").unwrap(),
            "timm resnet18.a1_in1k main -"
        );
        assert_eq!(
            parse("me/mine@v2/folder/a.pth").unwrap(),
            "me mine v2 folder/a.pth"
        );
        for wrong in ["", "timm", "timm/", "/resnet18", "timm/resnet18@", "a/b/"] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains("hf:OWNER/NAME"), "{error}");
        }
    }
}
