//! What the publishers of weights say about them: timm's, transformers' and `open_clip`'s configurations,
//! beside a weights file or in its metadata.

mod document;
mod open_clip;
mod preparation;
mod timm;
mod transformers;

use std::collections::BTreeMap;
use std::path::Path;

use finetune_files::quoted;
use serde_json::{Map, Value};

pub use self::document::Described;
use self::document::Document;
pub(super) use self::document::{Claim, Other};
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
