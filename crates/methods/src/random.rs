//! Seeded random numbers, drawn on the host and therefore the same on every device.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A generator for a seed and a purpose; each purpose has its own `stream`.
pub(crate) fn rng(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

/// Draws `count` numbers from the uniform distribution over `[-bound, bound)`.
#[must_use]
pub fn uniforms(rng: &mut ChaCha8Rng, bound: f32, count: usize) -> Vec<f32> {
    let draw = |_| rng.random_range(-bound..bound);
    (0..count).map(draw).collect()
}

/// Draws `count` numbers from the normal distribution with mean 0 and standard deviation `std`.
#[must_use]
pub fn normals(rng: &mut ChaCha8Rng, std: f32, count: usize) -> Vec<f32> {
    (0..count).map(|_| normal(rng) * std).collect()
}

/// Draws a number from the standard normal distribution (Box and Muller 1958).
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let u: f32 = 1.0 - rng.random::<f32>();
    let v: f32 = rng.random();
    (-2.0 * u.ln()).sqrt() * (std::f32::consts::TAU * v).cos()
}
