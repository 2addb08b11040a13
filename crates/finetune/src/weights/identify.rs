//! Which network a weights file is of, by everything that its source says.

use std::path::Path;

use finetune_files::quoted;
use finetune_model::{Architecture, Understood, WeightsFile, look_alikes};

use super::described::{Claim, Described, Other, Preparation};
use super::metadata::Metadata;
use super::unrecognised::unrecognised;
use crate::error::Error;

/// The network that a weights file is of, and how its images are prepared.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// The name of the model.
    pub model: &'static str,
    /// Why it is this one, if not by its tensors alone: sentences for the user.
    pub notes: Vec<String>,
    /// How the publisher prepares images, if it says so.
    pub preparation: Option<Preparation>,
    /// Side of the images in pixels: what the file or its publisher says, if the model takes it.
    pub image_size: Option<usize>,
}

/// Finds out which network a weights file is of: by what this program wrote into it or beside it, by the
/// configurations of timm, transformers and `open_clip` in it or beside it, by its tensors, and by its name.
/// With `wanted`, the model is that one, and the notes say if something speaks against it.
///
/// # Errors
///
/// [`Error::UnknownWeights`] if the tensors are no known network, or another one than a configuration
/// says, and [`Error::Usage`] if several networks fit that compute different things and nothing decides.
pub fn identify(file: &WeightsFile, path: &Path, wanted: Option<&str>) -> Result<Identity, Error> {
    let own = Metadata::describing(file, path);
    if let Some(wanted) = wanted {
        return Ok(as_wanted(
            file,
            path,
            Architecture::find(wanted)?,
            own.as_ref(),
        ));
    }
    if let Some(metadata) = own
        && let Ok(architecture) = Architecture::find(&metadata.model)
    {
        return Ok(Identity {
            model: architecture.name,
            notes: Vec::new(),
            preparation: None,
            image_size: Some(metadata.image_size),
        });
    }
    let described = Described::about(&file.metadata(), path);
    let Some(understood) = file.understand() else {
        return Err(Error::UnknownWeights(unknown(
            file,
            described.network.as_ref(),
        )));
    };
    let (architecture, notes) = match &described.network {
        Some(claim) => claimed(file, &understood, claim)?,
        None => by_name(file, &understood, path)?,
    };
    Ok(with_preparation(architecture, notes, described.preparation))
}

/// The identity of weights whose model the user names.
fn as_wanted(
    file: &WeightsFile,
    path: &Path,
    architecture: &'static Architecture,
    own: Option<&Metadata>,
) -> Identity {
    if let Some(metadata) = own {
        return Identity {
            model: architecture.name,
            notes: Vec::new(),
            preparation: None,
            image_size: Some(metadata.image_size),
        };
    }
    let described = Described::about(&file.metadata(), path);
    let mut notes = Vec::new();
    let mut preparation = described.preparation;
    if let Some(claim) = &described.network
        && !claim.architectures.contains(&architecture.name)
    {
        notes.push(format!(
            "{}, and --model takes it as {}",
            claim.sentence(),
            architecture.name
        ));
        preparation = None;
    }
    with_preparation(architecture, notes, preparation)
}

fn with_preparation(
    architecture: &'static Architecture,
    mut notes: Vec<String>,
    preparation: Option<Preparation>,
) -> Identity {
    let preparation = preparation.filter(|one| !one.is_empty());
    let size = preparation.as_ref().and_then(|one| one.image_size);
    let image_size = size.filter(|size| architecture.at(*size).is_ok());
    if let Some(preparation) = &preparation {
        notes.push(match preparation.differences(architecture).as_slice() {
            [] => format!("images as {} says", preparation.place),
            some => format!(
                "images as {} says, with {} of its own",
                preparation.place,
                some.join(" and ")
            ),
        });
    }
    Identity {
        model: architecture.name,
        notes,
        preparation,
        image_size,
    }
}

/// The architectures that have the tensors, best first.
fn candidates(understood: &Understood) -> impl Iterator<Item = &'static str> + '_ {
    [understood.architecture.name]
        .into_iter()
        .chain(understood.also_fits.iter().copied())
}

/// The architecture that a configuration names, if the tensors are its.
fn claimed(
    file: &WeightsFile,
    understood: &Understood,
    claim: &Claim,
) -> Result<(&'static Architecture, Vec<String>), Error> {
    let fits = candidates(understood).find(|name| claim.architectures.contains(name));
    if let Some(name) = fits {
        return Ok((Architecture::find(name)?, vec![claim.sentence()]));
    }
    let found = understood.architecture.name;
    let contradicted = claim
        .others
        .iter()
        .find(|other| candidates(understood).any(|name| name == other.architecture));
    if let Some(Other {
        architecture,
        difference,
    }) = contradicted
    {
        return Err(Error::UnknownWeights(format!(
            "{}: {} with {difference}, but its tensors are those of {architecture}; one of the two belongs to \
             other weights (--model {architecture} takes the tensors as they are)",
            file.origin(),
            claim.sentence(),
        )));
    }
    let text = if claim.architectures.is_empty() {
        format!(
            "{}: {}, which is not supported; its tensors have the names and shapes of {found}, which may \
             compute something else (--model {found} takes them as that)",
            file.origin(),
            claim.sentence(),
        )
    } else {
        format!(
            "{}: {}, but its tensors are those of {found}; one of the two belongs to other weights \
             (--model {found} takes the tensors as they are)",
            file.origin(),
            claim.sentence(),
        )
    };
    Err(Error::UnknownWeights(text))
}

/// The architecture that the name of the file or its folders names, if the tensors fit several.
fn by_name(
    file: &WeightsFile,
    understood: &Understood,
    path: &Path,
) -> Result<(&'static Architecture, Vec<String>), Error> {
    let first = understood.architecture;
    let words = words(path);
    let found = look_alikes(first.name);
    if let Some(other) = found
        .iter()
        .find(|other| words.contains(&(**other).to_owned()))
    {
        return Err(Error::UnknownWeights(format!(
            "{}: its name says {}, which is not supported; its tensors have the names and shapes of {1}, \
             which computes something else (--model {1} takes them as that)",
            file.origin(),
            quoted(other),
        )
        .replace("{1}", first.name)));
    }
    let is_named = |name: &&str| {
        let architecture = Architecture::find(name);
        architecture.is_ok_and(|one| {
            let mut names = one.aliases.iter().copied().chain([one.name]);
            names.any(|name| words.contains(&name.to_owned()))
        })
    };
    if let Some(name) = candidates(understood).find(is_named) {
        let only = understood.also_fits.is_empty();
        let note = format!("the name of the file says {name}");
        let notes = if only { Vec::new() } else { vec![note] };
        return Ok((Architecture::find(name)?, notes));
    }
    let others: Vec<&str> = understood
        .also_fits
        .iter()
        .copied()
        .filter(|other| !first.computes_as(other))
        .collect();
    if others.is_empty() {
        return Ok((first, Vec::new()));
    }
    Err(Error::Usage(format!(
        "{} fits {} and {}, which compute different things with the same tensors; say with --model which it \
         is",
        file.origin(),
        first.name,
        others.join(", ")
    )))
}

/// What the names of a file and of the folders around it may say: names of networks, from the beginning
/// of a name up to a dot, a hyphen or a space, and after `--` (as the Hub's cache writes `owner/name`).
fn words(path: &Path) -> Vec<String> {
    const FOLDERS: usize = 4;
    let mut words = Vec::new();
    for part in path.iter().rev().take(FOLDERS) {
        let part = part.to_string_lossy().to_lowercase();
        for name in part.split("--") {
            let name = name.split(['.', ' ']).next().unwrap_or(name);
            words.push(name.to_owned());
            words.push(name.replace('-', "_"));
            words.extend(name.split('-').next().map(str::to_owned));
        }
    }
    words
}

/// That the tensors are no known network, and what a configuration says they are.
fn unknown(file: &WeightsFile, claim: Option<&Claim>) -> String {
    let unrecognised = unrecognised(file);
    match claim {
        Some(claim) => format!("{unrecognised}; {}", claim.sentence()),
        None => unrecognised,
    }
}
