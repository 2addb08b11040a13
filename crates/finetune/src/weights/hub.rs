//! Files on the Hugging Face Hub.

use std::path::PathBuf;

use crate::error::Error;

/// A file on the Hugging Face Hub: `hf:OWNER/NAME[@REVISION][/FILE]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubFile {
    /// The repository's owner.
    pub owner: String,
    /// The repository's name.
    pub name: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// Path in the repository.
    pub file: String,
}

impl HubFile {
    /// Parses what follows `hf:`. The default revision is `main`, the default file
    /// `model.safetensors`.
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
        let file = parts.next().unwrap_or("model.safetensors");
        let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
        if [owner, name, revision, file]
            .iter()
            .any(|part| part.is_empty())
        {
            return Err(Error::Usage(format!(
                "`hf:{text}` does not name a file on the Hub; write \
                 hf:OWNER/NAME[@REVISION][/FILE]"
            )));
        }
        Ok(Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
            revision: revision.to_owned(),
            file: file.to_owned(),
        })
    }

    /// The file on this machine, downloaded if the Hub's cache does not have it.
    ///
    /// The Hub's own cache and environment variables apply: `HF_HOME`, `HF_HUB_CACHE`,
    /// `HF_ENDPOINT`, `HF_TOKEN`, and `HF_HUB_OFFLINE=1` to use the cache only.
    ///
    /// # Errors
    ///
    /// The file cannot be downloaded, or the program was built without the feature `hub`.
    ///
    /// The configurations beside it are fetched as well, as far as the repository has them.
    #[cfg(feature = "hub")]
    pub fn fetch(&self) -> Result<PathBuf, Error> {
        let path = self.fetch_one(true)?;
        let folder = self.file.rsplit_once('/').map(|(folder, _)| folder);
        for name in super::published::FILES {
            let file = folder.map_or_else(|| name.to_owned(), |folder| format!("{folder}/{name}"));
            // Most repositories have one or two of these, and weights can do without.
            let _ = Self {
                file,
                ..self.clone()
            }
            .fetch_one(false);
        }
        Ok(path)
    }

    #[cfg(feature = "hub")]
    fn fetch_one(&self, retries: bool) -> Result<PathBuf, Error> {
        let Self {
            owner,
            name,
            revision,
            file,
        } = self;
        let offline = std::env::var_os("HF_HUB_OFFLINE").is_some_and(|value| value == "1");
        let client = hf_hub::HFClient::builder()
            .retry_max_attempts(if retries { 2 } else { 1 })
            .build_sync()
            .map_err(|error| Error::Hub {
                what: "cannot set up the connection to the Hub".to_owned(),
                source: error.into(),
            })?;
        client
            .model(owner.clone(), name.clone())
            .download_file()
            .filename(file.clone())
            .revision(revision.clone())
            .local_files_only(offline)
            .send()
            .map_err(|error| Error::Hub {
                what: format!(
                    "cannot get `{file}` of {owner}/{name} (revision {revision}) from the Hub; \
                     download it by other means and give its path with --weights FILE"
                ),
                source: error.into(),
            })
    }

    /// The file on this machine.
    ///
    /// # Errors
    ///
    /// Always: the program was built without the feature `hub`.
    #[cfg(not(feature = "hub"))]
    pub fn fetch(&self) -> Result<PathBuf, Error> {
        Err(Error::Usage(format!(
            "this program was built without the Hub; build it with `--features hub` (`cargo xtask …` \
             does if a flag names hf:), or download `{}` of {}/{} and give its path with --weights \
             FILE",
            self.file, self.owner, self.name
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_the_hub_are_parsed() {
        let parse =
            |text| HubFile::parse(text).map(|f| [f.owner, f.name, f.revision, f.file].join(" "));
        assert_eq!(
            parse("timm/resnet18.a1_in1k").unwrap(),
            "timm resnet18.a1_in1k main model.safetensors"
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
