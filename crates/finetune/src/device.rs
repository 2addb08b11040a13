//! Names of devices: the one place that knows the backends.

use anyhow::{Result, bail};
use burn::tensor::Device;

use crate::exit::Usage;

/// Turns a name into a device, without autodiff.
///
/// # Errors
///
/// An unknown name, a backend that is not built in, or a GPU that cannot be used.
pub fn device(name: &str) -> Result<Device> {
    match name {
        "flex" | "cpu" => Ok(Device::flex()),
        "ndarray" => Ok(ndarray()),
        "wgpu" | "gpu" => wgpu(),
        _ => bail!(Usage(format!(
            "there is no device `{name}`; devices: flex (cpu), ndarray, wgpu (gpu)"
        ))),
    }
}

/// The name that reports show: `cpu` is `flex`, `gpu` is `wgpu`.
#[must_use]
pub fn canonical(name: &str) -> &str {
    match name {
        "cpu" => "flex",
        "gpu" => "wgpu",
        other => other,
    }
}

// Deprecated in Burn, kept because people ask for it.
#[allow(deprecated)]
fn ndarray() -> Device {
    Device::ndarray()
}

#[cfg(feature = "wgpu")]
fn wgpu() -> Result<Device> {
    Device::wgpu_options().init().map_err(|error| {
        anyhow::anyhow!("no GPU can be used through wgpu: {error}; use --device cpu")
    })
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> Result<Device> {
    bail!(Usage(
        "this program was built without the GPU backend; build it with `--features wgpu` \
         (`cargo xtask … --device gpu` does) or use --device cpu"
            .to_owned()
    ))
}
