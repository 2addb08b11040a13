//! Damage to bytes, the same in each run.

/// A number that looks random (SplitMix64).
pub fn random(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Cut, flipped, overwritten and repeated, under names that say how.
pub fn damaged(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for percent in [0, 1, 10, 50, 90, 99] {
        let length = bytes.len() * percent / 100;
        all.push((format!("cut-{percent}"), bytes[..length].to_vec()));
    }
    for seed in 0..4 {
        let mut flipped = bytes.to_vec();
        for n in 0..8 {
            // Mostly at the start, where sizes and types are.
            let range = if n % 2 == 0 {
                bytes.len().min(64)
            } else {
                bytes.len()
            };
            let at = (random(seed * 100 + n) % range.max(1) as u64) as usize;
            flipped[at] ^= (random(seed * 1000 + n) & 0xff) as u8;
        }
        all.push((format!("flipped-{seed}"), flipped));
    }
    let mut ones = bytes.to_vec();
    let end = ones.len().min(40);
    ones[8.min(end)..end].fill(0xff);
    all.push(("ones".to_owned(), ones));
    all.push(("twice".to_owned(), [bytes, bytes].concat()));
    all
}

/// What people have under any name: nothing, a page, a pointer, another archive.
pub fn strangers() -> Vec<(String, Vec<u8>)> {
    let named = |name: &str, bytes: &[u8]| (name.to_owned(), bytes.to_vec());
    vec![
        named("empty", b""),
        named("zeros", &[0; 4096]),
        named(
            "page",
            b"<!DOCTYPE html><html><body>404 \x1b[31mNot found</body></html>",
        ),
        named(
            "pointer",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n",
        ),
        named("text", "\u{1b}]0;title\u{7}\u{202e}text".as_bytes()),
        named(
            "gzip",
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0",
        ),
    ]
}
