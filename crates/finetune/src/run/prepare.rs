//! From a run's configuration to a network that is ready for training.

use burn::tensor::Device;
use finetune_files::quoted;
use finetune_methods::{Adapted, Importance, Scope};
use finetune_model::{Head, Network, WeightsFile};

use crate::config::RunConfig;
use crate::error::Error;
use crate::weights;

/// A network that is ready for training.
#[derive(Debug)]
pub struct Prepared {
    /// The network with the method attached.
    pub attached: Adapted<Network>,
    /// What a user should know about the weights, a sentence each.
    pub notes: Vec<String>,
}

/// Builds the network with its base weights and attaches the method.
///
/// # Errors
///
/// The weights cannot be read or do not fit, or the method cannot be attached.
pub fn prepare(config: &RunConfig, classes: usize, device: &Device) -> Result<Prepared, Error> {
    let (network, notes) = base(config, classes, device)?;
    let attached = attach(config, network, &Importance::default())?;
    Ok(Prepared { attached, notes })
}

/// The network with its base weights, and what a user should know about them.
///
/// # Errors
///
/// The weights cannot be read or do not fit.
pub fn base(
    config: &RunConfig,
    classes: usize,
    device: &Device,
) -> Result<(Network, Vec<String>), Error> {
    let architecture = config.architecture()?;
    if config.from_scratch {
        return Ok((architecture.build(classes, config.seed, device), Vec::new()));
    }
    load(config, &mut weights::open(config)?, classes, device)
}

/// The network with base weights from their file, and what a user should know about them.
///
/// # Errors
///
/// The weights cannot be read or do not fit.
pub fn load(
    config: &RunConfig,
    file: &mut WeightsFile,
    classes: usize,
    device: &Device,
) -> Result<(Network, Vec<String>), Error> {
    let architecture = config.architecture()?;
    let head = Head::New { seed: config.seed };
    let loaded = file.load(&architecture, classes, head, device)?;
    if let Some(first) = loaded.not_finite.first() {
        return Err(Error::NotFinite {
            origin: file.origin().to_owned(),
            count: loaded.not_finite.len(),
            first: quoted(first),
        });
    }
    Ok((loaded.network, loaded.notes))
}

/// Attaches a run's method to its base; `importance` is for methods that choose parameters by it.
///
/// # Errors
///
/// The method cannot be attached.
pub fn attach(
    config: &RunConfig,
    network: Network,
    importance: &Importance,
) -> Result<Adapted<Network>, Error> {
    let architecture = config.architecture()?;
    let targets = config.targets()?;
    let scope = Scope {
        importance: Some(importance),
        adapt_statistics: config.adapt_statistics,
        modules_to_save: &config.modules_to_save,
        ..Scope::new(architecture.head, &targets, config.seed)
    };
    Ok(config.method.attach(network, &scope)?)
}
