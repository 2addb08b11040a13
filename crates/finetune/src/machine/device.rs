//! Names of devices: the one place that knows the backends.

use anyhow::{Result, bail};
use burn::tensor::Device;
use finetune_methods::parameters_lazily;
use finetune_model::Architecture;

use crate::error::Usage;

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
    Ok(gpu()?.0.clone())
}

/// The GPU and the bytes of its largest buffer; set up once, for Burn refuses a second time.
#[cfg(feature = "wgpu")]
fn gpu() -> Result<&'static (Device, u64)> {
    static GPU: std::sync::OnceLock<Result<(Device, u64), String>> = std::sync::OnceLock::new();
    let gpu = GPU.get_or_init(|| {
        let (device, setup) = Device::wgpu_options()
            .init_with_setup()
            .map_err(|error| error.to_string())?;
        let limits = setup.device.limits();
        let largest = u64::from(limits.max_storage_buffer_binding_size);
        Ok((device, largest.min(limits.max_buffer_size)))
    });
    gpu.as_ref().map_err(|error| {
        anyhow::anyhow!("no GPU can be used through wgpu: {error}; use --device cpu")
    })
}

/// Bytes of the largest tensor that a device holds, where there is such a limit.
#[cfg(feature = "wgpu")]
fn largest_tensor(name: &str) -> Result<Option<u64>> {
    Ok(match canonical(name) {
        "wgpu" => Some(gpu()?.1),
        _ => None,
    })
}

#[cfg(not(feature = "wgpu"))]
#[allow(clippy::unnecessary_wraps)] // as with the feature
fn largest_tensor(_: &str) -> Result<Option<u64>> {
    Ok(None)
}

/// Checks that a model's tensors fit a device; wgpu would end the program later on.
///
/// # Errors
///
/// The first tensor that is larger than the device's largest buffer.
pub fn check_fits(name: &str, architecture: &Architecture, classes: usize) -> Result<()> {
    let Some(limit) = largest_tensor(name)? else {
        return Ok(());
    };
    let network = architecture.build(classes, 0, &Device::flex());
    for param in parameters_lazily(&network) {
        let bytes = 4 * param.shape.iter().product::<usize>() as u64;
        if bytes > limit {
            bail!(
                "{} holds at most {} MiB in one tensor, but `{}` of {} has {} MiB; use --device cpu",
                canonical(name),
                limit >> 20,
                param.path,
                architecture.name,
                bytes >> 20
            );
        }
    }
    Ok(())
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> Result<Device> {
    bail!(Usage(
        "this program was built without the GPU backend; build it with `--features wgpu` \
         (`cargo xtask … --device gpu` does) or use --device cpu"
            .to_owned()
    ))
}
