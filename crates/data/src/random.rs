//! Seeded random numbers, and the streams that are used of each seed.
//!
//! | purpose | stream |
//! |---|---|
//! | choosing images of a class (`take_per_class`, `split`) | index of the class |
//! | order of an epoch | epoch |
//! | images of a balanced epoch | `2⁶² + epoch` |
//! | augmentation of an image in an epoch | `2⁶³ + 2³² · epoch + index` |
//! | mixing of an image in an epoch | `2⁶³ + 2⁶² + 2³² · epoch + index` |

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// ChaCha with 8 rounds, with the key that `seed_from_u64` makes of `seed`, on a stream.
pub(crate) fn rng(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}
