//! Devices by name. This is the only place that knows the backends.

use burn::tensor::Device;
use finetune_methods::parameters_lazily;
use finetune_model::Architecture;

use crate::error::Error;

/// The device of that name, without autodiff: `flex` or `cpu`, `ndarray`, `wgpu` or `gpu`.
///
/// # Errors
///
/// The name is unknown, the backend is not built in, or no GPU can be used.
pub fn device(name: &str) -> Result<Device, Error> {
    match canonical(name) {
        "flex" => Ok(Device::flex()),
        "ndarray" => ndarray(),
        "wgpu" => wgpu(),
        _ => Err(Error::Usage(format!(
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

/// Says how to build in a backend.
#[cfg(not(all(feature = "wgpu", feature = "ndarray")))]
fn not_built_in(what: &str, feature: &str, name: &str) -> Error {
    Error::Usage(format!(
        "this program was built without the {what} backend; build it with `--features {feature}` \
         (`cargo xtask … --device {name}` does) or use --device cpu"
    ))
}

/// Burn's older CPU backend: deprecated, and much slower than flex.
#[cfg(feature = "ndarray")]
#[allow(deprecated, clippy::unnecessary_wraps)] // as without the feature
fn ndarray() -> Result<Device, Error> {
    Ok(Device::ndarray())
}

#[cfg(not(feature = "ndarray"))]
fn ndarray() -> Result<Device, Error> {
    Err(not_built_in("ndarray", "ndarray", "ndarray"))
}

#[cfg(feature = "wgpu")]
fn wgpu() -> Result<Device, Error> {
    Ok(gpu()?.0.clone())
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> Result<Device, Error> {
    Err(not_built_in("GPU", "wgpu", "gpu"))
}

/// The GPU and the bytes of its largest buffer. It is set up once, because Burn rejects a second
/// time.
#[cfg(feature = "wgpu")]
fn gpu() -> Result<&'static (Device, u64), Error> {
    static GPU: std::sync::OnceLock<Result<(Device, u64), String>> = std::sync::OnceLock::new();
    let gpu = GPU.get_or_init(|| {
        let (device, setup) = Device::wgpu_options()
            .init_with_setup()
            .map_err(|error| error.to_string())?;
        let limits = setup.device.limits();
        let largest = u64::from(limits.max_storage_buffer_binding_size);
        Ok((device, largest.min(limits.max_buffer_size)))
    });
    gpu.as_ref().map_err(|error| Error::NoGpu(error.clone()))
}

/// Bytes of the largest tensor that a device holds, if it has such a limit.
#[cfg(feature = "wgpu")]
fn largest_tensor(name: &str) -> Result<Option<u64>, Error> {
    Ok(match canonical(name) {
        "wgpu" => Some(gpu()?.1),
        _ => None,
    })
}

#[cfg(not(feature = "wgpu"))]
#[allow(clippy::unnecessary_wraps)] // as with the feature
fn largest_tensor(_: &str) -> Result<Option<u64>, Error> {
    Ok(None)
}

/// Checks that a device holds each of a model's tensors; otherwise wgpu would end the program later.
///
/// # Errors
///
/// A tensor is larger than the device's largest buffer.
pub fn check_fits(name: &str, architecture: &Architecture, classes: usize) -> Result<(), Error> {
    let Some(limit) = largest_tensor(name)? else {
        return Ok(());
    };
    let network = architecture.build(classes, 0, &Device::flex());
    for param in parameters_lazily(&network) {
        let bytes = 4 * param.shape.iter().product::<usize>() as u64;
        if bytes > limit {
            return Err(Error::TensorTooLarge {
                device: canonical(name).to_owned(),
                limit,
                tensor: param.path,
                model: architecture.name,
                bytes,
            });
        }
    }
    Ok(())
}

#[cfg(all(test, not(feature = "ndarray")))]
mod tests {
    use super::*;

    #[test]
    fn a_backend_that_is_not_built_in_says_how_to_get_it() {
        assert_eq!(
            device("ndarray").unwrap_err().to_string(),
            "this program was built without the ndarray backend; build it with `--features ndarray` \
             (`cargo xtask … --device ndarray` does) or use --device cpu"
        );
    }
}
