//! What other programs call the base weights of a run.

use std::path::Path;

use super::published::Published;
use super::source::describe;
use crate::config::RunConfig;
use crate::machine::cache::cache_folder;

/// The base weights of a run, as other programs name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaseName {
    /// A repository of the Hugging Face Hub: `OWNER/NAME`.
    Repository(String),
    /// A file on this machine.
    File(String),
    /// The network inside the program.
    Shipped,
    /// There are none: the run started from random weights.
    Random,
}

impl BaseName {
    /// The base weights of a run.
    #[must_use]
    pub fn of(config: &RunConfig) -> Self {
        if config.from_scratch {
            return Self::Random;
        }
        match &config.weights {
            Some(path) => repository(path)
                .map_or_else(|| Self::File(path.display().to_string()), Self::Repository),
            None => match describe(config).as_str() {
                "shipped" => Self::Shipped,
                file => Self::File(file.to_owned()),
            },
        }
    }

    /// The repository or file, for `base_model_name_or_path`.
    #[must_use]
    pub fn name_or_path(&self) -> Option<&str> {
        match self {
            Self::Repository(name) | Self::File(name) => Some(name),
            Self::Shipped | Self::Random => None,
        }
    }

    /// The licence of the weights, if they are those that timm publishes for the model and it states one.
    #[must_use]
    pub fn licence(&self, model: &str) -> Option<&'static str> {
        let published = Published::of(model)?;
        match self {
            Self::Repository(name) if *name == published.repository() => published.licence,
            _ => None,
        }
    }
}

/// The repository of the Hub that a file is of, if it is in the Hub's cache or in that of the program.
fn repository(path: &Path) -> Option<String> {
    let parts = path.components();
    let mut parts = parts.filter_map(|part| part.as_os_str().to_str());
    if let Some(name) = parts.find_map(|part| part.strip_prefix("models--")) {
        return Some(name.replacen("--", "/", 1));
    }
    let placed = path
        .strip_prefix(cache_folder().ok()?.join("weights"))
        .ok()?;
    let mut parts = placed.iter().map(|part| part.to_string_lossy());
    let (owner, name) = (parts.next()?, parts.next()?);
    parts.next()?;
    Some(format!("{owner}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use finetune_methods::Method;

    #[test]
    fn a_file_of_the_hub_has_the_name_of_its_repository() {
        let of = |path: &str| {
            let config = RunConfig::new(Method::Linear).weights(path);
            BaseName::of(&config).name_or_path().map(ToOwned::to_owned)
        };
        let cached = "/c/hub/models--timm--resnet18.a1_in1k/snapshots/4/model.safetensors";
        assert_eq!(of(cached), Some("timm/resnet18.a1_in1k".to_owned()));
        let placed = cache_folder()
            .unwrap()
            .join("weights/me/mine/pytorch_model.bin");
        assert_eq!(of(placed.to_str().unwrap()), Some("me/mine".to_owned()));
        assert_eq!(of("a/b.pth"), Some("a/b.pth".to_owned()));
        let plain = RunConfig::new(Method::Linear);
        assert_eq!(BaseName::of(&plain), BaseName::Shipped);
        assert_eq!(BaseName::of(&RunConfig::scratch()), BaseName::Random);
        let resnet = BaseName::Repository("timm/resnet18.a1_in1k".to_owned());
        assert_eq!(resnet.licence("resnet18"), Some("apache-2.0"));
        assert_eq!(resnet.licence("mobilenet_v2"), None);
    }
}
