//! Downloads from the Hugging Face Hub.

use std::path::{Path, PathBuf};

use finetune_files::quoted_path;
use finetune_model::ShardIndex;
use hf_hub::HFError;
use hf_hub::progress::{DownloadEvent, ProgressEvent, ProgressHandler};

use super::described::FILES as CONFIGURATIONS;
use super::hash::hash_file;
use super::hub::{FILES, HubFile};
use super::progress::{OnProgress, Progress};
use crate::error::Error;

impl HubFile {
    /// The file on this machine, downloaded if the Hub's cache does not have it. If it is the index of
    /// several files, these are downloaded as well.
    ///
    /// The Hub's own cache and environment variables apply: `HF_HOME`, `HF_HUB_CACHE`,
    /// `HF_ENDPOINT`, `HF_TOKEN`, and `HF_HUB_OFFLINE=1` to use the cache only. The Hub says the SHA-256 of
    /// large files, which is checked.
    ///
    /// # Errors
    ///
    /// The file cannot be downloaded or is damaged, or the program was built without the feature `hub`.
    pub fn fetch(&self, progress: Option<OnProgress>) -> Result<PathBuf, Error> {
        fetch(self, progress)
    }
}

/// Gets a file of the Hub, and all files that it is the index of.
fn fetch(hub: &HubFile, progress: Option<OnProgress>) -> Result<PathBuf, Error> {
    let repository = Repository::open(hub, progress)?;
    let (file, path) = match hub.file.as_deref() {
        Some(file) => (file, repository.get(file)?),
        None => repository.first_of(&FILES)?,
    };
    if let Some(index) = ShardIndex::read(&path)? {
        for name in index.names() {
            let shard = match file.rsplit_once('/') {
                Some((folder, _)) => format!("{folder}/{name}"),
                None => name.to_owned(),
            };
            repository.get(&shard)?;
        }
    }
    for name in CONFIGURATIONS {
        let beside = match file.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/{name}"),
            None => name.to_owned(),
        };
        // Most repositories have one or two of these, and weights can do without.
        let _ = repository.download(&beside, repository.offline);
    }
    Ok(path)
}

/// A repository of the Hub.
struct Repository<'a> {
    hub: &'a HubFile,
    client: hf_hub::HFClientSync,
    offline: bool,
    progress: Option<OnProgress>,
}

impl<'a> Repository<'a> {
    fn open(hub: &'a HubFile, progress: Option<OnProgress>) -> Result<Self, Error> {
        let client = hf_hub::HFClient::builder()
            .retry_max_attempts(2)
            .build_sync()
            .map_err(|error| Error::Hub {
                what: "cannot set up the connection to the Hub".to_owned(),
                source: error.into(),
            })?;
        Ok(Self {
            hub,
            client,
            offline: std::env::var_os("HF_HUB_OFFLINE").is_some_and(|value| value == "1"),
            progress,
        })
    }

    fn get(&self, file: &str) -> Result<PathBuf, Error> {
        let found = self.download(file, self.offline);
        self.checked(file, found.map_err(|error| self.failed(file, error))?)
    }

    /// The first of these files that the repository has, and its name.
    fn first_of<'f>(&self, files: &[&'f str]) -> Result<(&'f str, PathBuf), Error> {
        let mut offline = self.offline;
        let mut first = None;
        for file in files {
            match self.download(file, offline) {
                Ok(path) => return Ok((file, self.checked(file, path)?)),
                Err(error) => {
                    // Without a connection, the cache may still have one of the others.
                    offline |= !matches!(error, HFError::EntryNotFound { .. });
                    first.get_or_insert((file, error));
                }
            }
        }
        Err(match first {
            Some((file, error)) => self.failed(file, error),
            None => Error::Usage("no files were asked for".to_owned()),
        })
    }

    fn download(&self, file: &str, offline: bool) -> Result<PathBuf, HFError> {
        let HubFile { owner, name, .. } = self.hub;
        let progress = self.progress.clone().map(|progress| {
            let file = file.to_owned();
            hf_hub::progress::Progress::new(Handler { file, progress })
        });
        self.client
            .model(owner.clone(), name.clone())
            .download_file()
            .filename(file)
            .revision(self.hub.revision.clone())
            .local_files_only(offline)
            .maybe_progress(progress)
            .send()
    }

    fn failed(&self, file: &str, error: HFError) -> Error {
        let HubFile {
            owner,
            name,
            revision,
            ..
        } = self.hub;
        Error::Hub {
            what: format!(
                "cannot get `{file}` of {owner}/{name} (revision {revision}) from the Hub; download \
                 it by other means and give its path with --weights FILE"
            ),
            source: error.into(),
        }
    }

    /// Checks a downloaded file. The Hub's cache names files by what the Hub calls their content, which
    /// for large files (Git LFS) is their SHA-256. A file that has another one is removed.
    fn checked(&self, file: &str, path: PathBuf) -> Result<PathBuf, Error> {
        let Some((blob, expected)) = named_by_hash(&path) else {
            return Ok(path);
        };
        let found = hash_file(&blob)?;
        if found == expected {
            return Ok(path);
        }
        let removed = std::fs::remove_file(&blob).and_then(|()| std::fs::remove_file(&path));
        let HubFile { owner, name, .. } = self.hub;
        Err(Error::Hub {
            what: format!(
                "`{file}` of {owner}/{name} is damaged: its SHA-256 is {found}, the Hub says {expected}"
            ),
            source: match removed {
                Ok(()) => "it was removed, try again".into(),
                Err(error) => format!("remove {}: {error}", quoted_path(&blob)).into(),
            },
        })
    }
}

/// The file that a path of the cache leads to, and its name, if that is a SHA-256.
fn named_by_hash(path: &Path) -> Option<(PathBuf, String)> {
    let blob = path.canonicalize().ok()?;
    let name = blob.file_name()?.to_str()?.to_ascii_lowercase();
    let is_hash = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then_some((blob, name))
}

/// Hands on how far the download of a file is.
struct Handler {
    file: String,
    progress: OnProgress,
}

impl ProgressHandler for Handler {
    fn on_progress(&self, event: &ProgressEvent) {
        let (bytes, of) = match event {
            ProgressEvent::Download(DownloadEvent::Progress { files }) => match files.first() {
                Some(file) => (file.bytes_completed, file.total_bytes),
                None => return,
            },
            ProgressEvent::Download(DownloadEvent::AggregateProgress {
                bytes_completed,
                total_bytes,
                ..
            }) => (*bytes_completed, *total_bytes),
            _ => return,
        };
        let file = self.file.clone();
        self.progress.tell(&Progress { file, bytes, of });
    }
}
