//! Device, threads, memory and caches.

use anyhow::{Result, bail};
use finetune::machine::device::canonical;
use finetune::machine::precision::Precision;
use finetune_data::Cache;
use finetune_training::{FeatureCache, FeatureDtype};

use crate::flags::define::choice::of;
use crate::flags::define::{About, Flag, Resume, choice, switch, value};
use crate::flags::task::Task;
use crate::terminal::exit::Usage;

pub(super) fn flags() -> Vec<Flag> {
    [computation(), stores()].into_iter().flatten().collect()
}

/// What computes, and how.
fn computation() -> Vec<Flag> {
    vec![
        value("device", "DEVICE")
            .help("Device that computes: cpu (flex), gpu (wgpu) or ndarray")
            .default("cpu")
            .sets(|run, name: String| canonical(&name).clone_into(&mut run.device)),
        value("threads", "N")
            .help("Threads that compute")
            .default_is("one per core")
            .sets(|run, threads| run.threads = Some(threads))
            .resume(Resume::Honour),
        value("jobs", "N")
            .help("Runs at the same time, among which --threads are divided")
            .details(
                "Results are the same, but for times and memory: the report says how many runs they were \
                 measured with. Memory adds up.",
            )
            .default_is("1")
            .only(&[Task::Compare])
            .sets_process(|process, jobs| process.jobs = Some(jobs))
            .resume(Resume::Honour),
        value("workers", "N")
            .help("Threads that decode and augment images")
            .default_is("as many as compute")
            .sets(|run, threads| run.data.pipeline.workers = Some(threads))
            .resume(Resume::Honour),
        choice(
            "precision",
            [
                of(Precision::F32, "32 bits"),
                of(
                    Precision::Bf16,
                    "Operands rounded to bfloat16, sums in 32 bits: on processors with AMX or AVX512-BF16",
                ),
            ],
        )
        .help("Precision of matrix products and convolutions")
        .details(
            "Weights, optimiser and normalisation are f32 in either case. It changes results a little. \
             docs/recipe.md has measurements.",
        )
        .default("f32")
        .sets(|run, precision| run.precision = precision),
        switch("gradient-checkpointing")
            .help("Use less memory by computing blocks again in the backward pass")
            .details(
                "About a quarter more time, the same results. docs/recipe.md has measurements. Chen et \
                 al. 2016, arXiv:1604.06174.",
            )
            .sets(|run, on| run.recipe.gradient_checkpointing = on)
            .about(About::Steps),
    ]
}

/// Where decoded images and features are stored.
fn stores() -> Vec<Flag> {
    vec![
        choice(
            "cache",
            [
                of(Cache::Auto, "In memory if they fit, else in a file"),
                of(Cache::Memory, "In memory"),
                of(
                    Cache::Disk,
                    "In a file of the cache folder, which later runs on the same images use again",
                ),
                of(
                    Cache::None,
                    "Nowhere: images are decoded again for each batch",
                ),
            ],
        )
        .help("Where decoded images are stored")
        .details("It changes speed and memory, not results.")
        .default("auto")
        .sets(|run, cache| run.data.pipeline.cache = cache)
        .resume(Resume::Honour),
        value("cache-limit", "GIB")
            .help("Disk space that the files of decoded images may use together, GiB")
            .details("The least recently used files are removed, but none that is in use.")
            .default_is("20")
            .sets(|run, gib| -> Result<()> {
                run.data.pipeline.limit = Some(bytes(gib)?);
                Ok(())
            })
            .resume(Resume::Honour),
        choice(
            "feature-cache",
            [
                of(
                    FeatureCache::Auto,
                    "In memory up to 64 MiB, larger ones in a file or in memory if there is room",
                ),
                of(
                    FeatureCache::Memory,
                    "In memory, if they take at most a quarter of what is free",
                ),
                of(
                    FeatureCache::File,
                    "In a file of the cache folder, if they take at most half of what is free",
                ),
                of(FeatureCache::Off, "Nowhere: computed again in every step"),
            ],
        )
        .help("Where the features of frozen layers are stored")
        .details(
            "What frozen layers compute from the images is computed only once if the images do not \
             change at random, or only in fixed views (--augment-views). Results are the same.",
        )
        .default("auto")
        .sets(|run, cache| run.recipe.feature_cache = cache)
        .about(About::Steps)
        .resume(Resume::Honour),
        choice(
            "feature-dtype",
            [
                of(FeatureDtype::F32, "As computed"),
                of(
                    FeatureDtype::F16,
                    "Rounded to half the size, which changes results a little",
                ),
            ],
        )
        .help("Number type of the stored features")
        .default("f32")
        .sets(|run, dtype| run.recipe.feature_dtype = dtype)
        .about(About::Steps),
    ]
}

fn bytes(gib: f64) -> Result<u64> {
    if !(0.0..1e9).contains(&gib) {
        bail!(Usage(format!(
            "--cache-limit is {gib}, but must be at least 0 and below 1e9 (GiB)"
        )));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked above
    Ok((gib * f64::from(1 << 30)) as u64)
}
