//! What the publishers of weights say about them: timm's, transformers' and `open_clip`'s configurations,
//! beside a weights file or in its metadata.

mod open_clip;
mod preparation;
mod timm;
mod transformers;

use std::collections::BTreeMap;
use std::path::Path;

use finetune_data::{Filter, Normalization};
use finetune_files::quoted;
use finetune_model::Architecture;
use serde_json::{Map, Value};

pub use self::preparation::Preparation;

/// The most bytes of a configuration that is read.
const MOST: u64 = 8 << 20;

/// The files with configurations that repositories of weights have beside them.
pub(super) const FILES: [&str; 4] = [
    "config.json",
    "preprocessor_config.json",
    "open_clip_config.json",
    "processor_config.json",
];

/// What the publisher says about a weights file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Described {
    /// Which network it says the weights are of.
    pub network: Option<Claim>,
    /// How it says that images are prepared.
    pub preparation: Option<Preparation>,
}

/// Which network a configuration says that weights are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The name that it has for the network: `vit_small_patch14_dinov2`, `dinov2`.
    pub name: String,
    /// The library that has this name.
    pub library: &'static str,
    /// Where that is said: "`config.json` beside it".
    pub place: String,
    /// Names of architectures that the name stands for; empty if none does.
    pub architectures: Vec<&'static str>,
}

impl Claim {
    /// For sentences: "`config.json` beside it says `dinov2` (transformers)".
    #[must_use]
    pub fn sentence(&self) -> String {
        format!(
            "{} says {} ({})",
            self.place,
            quoted(&self.name),
            self.library
        )
    }
}

/// One configuration: its text and where it is.
struct Document {
    place: String,
    values: Map<String, Value>,
}

impl Described {
    /// What is said in the metadata of a weights file, and in files beside it.
    #[must_use]
    pub fn about(metadata: &BTreeMap<String, String>, path: &Path) -> Self {
        let mut documents = Vec::new();
        for key in FILES
            .into_iter()
            .chain(["config", "pretrained_cfg", "preprocessor_config"])
        {
            if let Some(values) = metadata.get(key).and_then(|text| parsed(text)) {
                let place = format!("its metadata {}", quoted(key));
                let values = match key {
                    // timm's own form is inside of a configuration.
                    "pretrained_cfg" => Map::from_iter([(key.to_owned(), Value::Object(values))]),
                    _ => values,
                };
                documents.push(Document { place, values });
            }
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let own = path.with_extension("json");
        let beside = FILES.iter().map(|name| folder.join(name)).chain([own]);
        for file in beside.filter(|file| file != path) {
            let text = finetune_files::read_text(&file, MOST);
            if let Some(values) = text.ok().and_then(|text| parsed(&text)) {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let place = format!("{} beside it", quoted(&name));
                documents.push(Document { place, values });
            }
        }
        Self::of(&documents)
    }

    /// What configurations say; the first that says something counts.
    fn of(documents: &[Document]) -> Self {
        let readers: [fn(&Document) -> Self; 3] = [timm::read, open_clip::read, transformers::read];
        let mut described = Self::default();
        for document in documents {
            for read in readers {
                let found = read(document);
                described.network = described.network.or(found.network);
                described.preparation = described.preparation.or(found.preparation);
            }
        }
        described
    }
}

fn parsed(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(text).ok()
}

/// The architectures of these names or aliases.
fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'static str> {
    let found = names
        .into_iter()
        .filter_map(|name| Architecture::find(name).ok());
    found.map(|architecture| architecture.name).collect()
}

/// A whole number of a configuration.
fn whole(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

#[allow(clippy::cast_possible_truncation)]
fn float(value: &Value) -> Option<f32> {
    value.as_f64().map(|value| value as f32)
}

/// A number per channel, or one for all.
fn channels(value: Option<&Value>) -> Option<[f32; 3]> {
    match value? {
        Value::Array(values) => match values.as_slice() {
            [one] => Some([float(one)?; 3]),
            [red, green, blue] => Some([float(red)?, float(green)?, float(blue)?]),
            _ => None,
        },
        one => Some([float(one)?; 3]),
    }
}

fn normalization(mean: Option<&Value>, std: Option<&Value>) -> Option<Normalization> {
    let (mean, std) = (channels(mean)?, channels(std)?);
    std.iter()
        .chain(&mean)
        .all(|value| value.is_finite())
        .then_some(Normalization { mean, std })
        .filter(|normalization| normalization.std.iter().all(|std| *std > 0.0))
}

/// The filter of this name; the nearest one for those that are not here.
fn filter(name: &str) -> Option<Filter> {
    match name {
        "bilinear" | "random" | "box" | "hamming" => Some(Filter::Bilinear),
        "bicubic" | "lanczos" => Some(Filter::Bicubic),
        _ => None,
    }
}
