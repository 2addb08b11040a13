//! Seeded random numbers: the same on every device, since they are drawn on the host.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A generator for one purpose of one seed; `stream` tells purposes apart.
pub(crate) fn rng(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

/// Numbers spread evenly over `[-bound, bound)`.
#[must_use]
pub fn uniforms(rng: &mut ChaCha8Rng, bound: f32, count: usize) -> Vec<f32> {
    let draw = |_| rng.random_range(-bound..bound);
    (0..count).map(draw).collect()
}

/// Normal numbers around 0 with that standard deviation.
#[must_use]
pub fn normals(rng: &mut ChaCha8Rng, std: f32, count: usize) -> Vec<f32> {
    (0..count).map(|_| normal(rng) * std).collect()
}

/// A standard normal number (Box and Muller 1958).
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let u: f32 = 1.0 - rng.random::<f32>();
    let v: f32 = rng.random();
    (-2.0 * u.ln()).sqrt() * (std::f32::consts::TAU * v).cos()
}
