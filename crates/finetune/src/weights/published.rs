//! Which weights are published for a model, and where they come from: the cache folder or the Hugging Face
//! Hub.

use std::path::PathBuf;

use finetune_files::{nearest, quoted_path};
use finetune_model::Architecture;

use super::hub::{FILES, HubFile};
use super::progress::OnProgress;
use crate::error::{Error, one_line};
use crate::machine::cache::cache_folder;

/// Names of models of timm, repositories, and licences, as `tests/parity/registry.py` writes them.
const REGISTRY: &str = include_str!("registry.tsv");

/// The default pretrained weights of a model, as timm publishes them. The SHA-256 of their file is not known
/// before it is downloaded; then it is checked against the one that the Hub states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The repository on the Hub.
    pub hub: HubFile,
    /// The licence of the weights, if timm states it.
    pub licence: Option<&'static str>,
}

impl Published {
    /// The weights of a model of timm.
    fn of_timm(name: &str) -> Option<Self> {
        let mut rows = REGISTRY.lines().map(|row| row.split('\t'));
        let mut row = rows.find(|row| row.clone().next() == Some(name))?.skip(1);
        let hub = HubFile::parse(row.next()?).ok()?;
        let licence = row
            .next()
            .filter(|licence| !["-", "unknown"].contains(licence));
        Some(Self { hub, licence })
    }

    /// The weights of an architecture, by the name that is asked for, its own name or an alias; `None` if
    /// none are known.
    #[must_use]
    pub fn of(model: &str) -> Option<Self> {
        let architecture = Architecture::find(model).ok()?;
        let names = [model, architecture.name].into_iter();
        let mut names = names.chain(architecture.aliases.iter().copied());
        names.find_map(Self::of_timm)
    }

    /// What `timm:` and this name stand for: `NAME`, the model's default weights, or a repository of timm as
    /// `NAME.TAG[@REVISION][/FILE]`.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if timm has no weights for the model.
    pub(super) fn timm(text: &str) -> Result<HubFile, Error> {
        let name = text.split(['@', '/']).next().unwrap_or_default();
        if name.contains('.') {
            return HubFile::parse(&format!("timm/{text}"));
        }
        let found = Self::of_timm(name).or_else(|| Self::of(name));
        let Some(found) = found.filter(|_| name == text) else {
            let known = REGISTRY.lines().filter_map(|row| row.split('\t').next());
            let meant = nearest(name, known.skip(1));
            let meant =
                meant.map_or_else(String::new, |meant| format!("; did you mean timm:{meant}?"));
            return Err(Error::Usage(format!(
                "timm has no weights for `timm:{text}`; write timm:NAME or \
                 timm:NAME.TAG[@REVISION][/FILE]{meant}"
            )));
        };
        Ok(found.hub)
    }

    /// The repository as it can be typed: `OWNER/NAME`.
    #[must_use]
    pub fn repository(&self) -> String {
        self.hub.repository()
    }

    /// Where to download the file by other means.
    #[must_use]
    pub fn link(&self) -> String {
        format!(
            "https://huggingface.co/{}/resolve/main/{}",
            self.repository(),
            FILES[0]
        )
    }

    /// Where the file can be put instead of being downloaded.
    ///
    /// # Errors
    ///
    /// The system names no cache folder.
    pub fn place(&self) -> Result<PathBuf, Error> {
        Ok(folder(&self.hub)?.join(FILES[0]))
    }

    /// Whether the file is on this machine, as far as this build looks for it, or this build can download it.
    #[must_use]
    pub fn can_be_had(&self) -> bool {
        cfg!(feature = "hub") || self.place().is_ok_and(|place| place.is_file())
    }

    /// The file on this machine, downloaded if neither the cache folder nor the Hub's cache has it.
    ///
    /// # Errors
    ///
    /// It cannot be downloaded; the message says which file is needed and where to put it.
    pub fn locate(&self, model: &str, progress: Option<OnProgress>) -> Result<PathBuf, Error> {
        placed_or_fetched(&self.hub, progress).map_err(|error| {
            let place = self.place().map_or_else(
                |_| "any folder".to_owned(),
                |place| quoted_path(&place),
            );
            let reason = match &error {
                Error::Hub { source, .. } => one_line(&**source),
                _ if cfg!(feature = "hub") => one_line(&error),
                _ => format!(
                    "this program was built without downloads (`cargo xtask …` builds them in if \
                     --weights is timm:{})",
                    self.hub.name
                ),
            };
            Error::Usage(format!(
                "the pretrained weights of `{model}` are `{}` of {} on the Hugging Face Hub, which cannot \
                 be downloaded: {reason}; get {} and put it at {place}, or give other weights with \
                 --weights FILE",
                FILES[0],
                self.repository(),
                self.link()
            ))
        })
    }
}

/// The folder in the cache folder for files of a repository that were downloaded by other means.
fn folder(hub: &HubFile) -> Result<PathBuf, Error> {
    Ok(cache_folder()?
        .join("weights")
        .join(&hub.owner)
        .join(&hub.name))
}

/// The weights of a repository: what was put into the cache folder, else from the Hub.
pub(super) fn placed_or_fetched(
    hub: &HubFile,
    progress: Option<OnProgress>,
) -> Result<PathBuf, Error> {
    if hub.file.is_none()
        && let Ok(folder) = folder(hub)
    {
        let mut files = FILES.iter().map(|file| folder.join(file));
        if let Some(path) = files.find(|path| path.is_file()) {
            return Ok(path);
        }
    }
    hub.fetch(progress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_have_published_weights_by_their_names_and_aliases() {
        let of = |name| Published::of(name).map(|found| found.repository());
        let resnet = Some("timm/resnet18.a1_in1k".to_owned());
        assert_eq!(of("resnet18"), resnet);
        let mobile = Some("timm/mobilenetv2_100.ra_in1k".to_owned());
        assert_eq!(of("mobilenet_v2"), mobile);
        assert_eq!(of("mobilenetv2_100"), mobile);
        let dino = Some("timm/vit_small_patch14_dinov2.lvd142m".to_owned());
        assert_eq!(of("dinov2_small"), dino);
        for none in ["resnet8", "resnet20", "chapter", "no such model"] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn names_of_timm_are_short_for_repositories() {
        let hub = |text| HubFile::parse(text).unwrap();
        let timm = |text: &str| Published::timm(text).map_err(|error| error.to_string());
        assert_eq!(timm("resnet18"), Ok(hub("timm/resnet18.a1_in1k")));
        assert_eq!(
            timm("dinov2_small").unwrap().name,
            "vit_small_patch14_dinov2.lvd142m"
        );
        assert_eq!(timm("resnet18.tv_in1k"), Ok(hub("timm/resnet18.tv_in1k")));
        let file = "resnet18.tv_in1k@v1/a.bin";
        assert_eq!(timm(file), Ok(hub(&format!("timm/{file}"))));
        assert!(
            timm("resnet-18")
                .unwrap_err()
                .ends_with("did you mean timm:resnet18?")
        );
        assert!(timm("resnet18@v1").is_err());
        assert!(timm("").is_err());
    }

    #[test]
    fn each_row_of_the_registry_is_a_repository() {
        let rows = REGISTRY.lines().skip(1);
        let rows: Vec<Vec<&str>> = rows.map(|row| row.split('\t').collect()).collect();
        assert!(rows.len() > 500);
        for row in rows {
            let [name, repository, _] = row[..] else {
                panic!("{row:?}");
            };
            assert!(!name.contains(['.', ' ']));
            assert!(
                HubFile::parse(repository).unwrap().file.is_none(),
                "{repository}"
            );
        }
    }
}
