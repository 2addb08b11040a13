//! The results as a Markdown page.

use std::fmt::Write;

use finetune::evaluation::{bytes, median, seconds};
use finetune::machine::precision::Precision;

use crate::job::Side;
use crate::results::{Ratio, Results, Row, Samples};

/// What both sides were told.
const SETTINGS: &str = "Settings. PyTorch: eager mode, `torch.optim.Adam(fused=True)`, losses read at \
    each step; each row shows the faster of contiguous tensors and `channels_last` (`--compile` also tries \
    `torch.compile`), named in the row. Ours: the training loop of `finetune train`, Adam, no cache of \
    features. Both: PRECISION, one thread per core, decoded images in memory, batches made within the timed \
    step, and glibc's allocator told to keep large buffers (`MALLOC_MMAP_THRESHOLD_` of 1 GiB, \
    `MALLOC_TRIM_THRESHOLD_` at its maximum).\n\n";

/// What the sides were told in results of version 1.
const EARLIER: &str = "PyTorch ran as it comes: contiguous tensors, `torch.optim.Adam`, and glibc's \
    allocator with its defaults. Ours keeps large buffers. Later versions of the bench give PyTorch its \
    best settings.\n\n";

/// The whole page.
pub(crate) fn markdown(results: &Results) -> String {
    let mut page = String::new();
    let machine = &results.machine;
    let versions: Vec<String> = machine
        .versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let bf16 = match (&machine.bf16, results.precision) {
        (Some(unit), Precision::Bf16) => format!(" and {unit}"),
        _ => String::new(),
    };
    let _ = write!(
        page,
        "# Speed and memory compared with PyTorch and HF PEFT\n\n\
         Measured {} at commit {} on {} ({} cores, {}{}) with {} threads: {}. Both sides use the same \
         weights, images, batches and threads. Each number is the median of {} processes per side, which \
         run alternately. A ratio is our value divided by theirs, so that values below 1 are in our \
         favour: the median of the pairs of processes, with minimum and maximum in parentheses. `cargo \
         xtask bench --publish` writes this page.\n\n{}",
        results.started,
        machine.commit,
        machine.cpu,
        machine.cores,
        bytes(machine.memory_bytes),
        machine
            .instructions
            .as_ref()
            .map_or_else(String::new, |set| format!(", kernels for {set}{bf16}")),
        results.threads,
        versions.join(", "),
        results.repetitions,
        settings(results),
    );
    if !results.steps.is_empty() || !results.runs.is_empty() {
        let picture = results.page();
        let _ = write!(page, "![ratios of time and memory]({picture}.svg)\n\n");
    }
    steps(&mut page, &results.steps);
    methods(&mut page, &results.steps);
    runs(&mut page, &results.runs);
    scaling(&mut page, results);
    startup(&mut page, results);
    if !results.failed.is_empty() {
        page += "## Failures\n\n";
        for failure in &results.failed {
            let _ = writeln!(page, "- {}", failure.lines().next().unwrap_or_default());
        }
        page += "\n";
    }
    page
}

fn settings(results: &Results) -> String {
    if results.version < 2 {
        return EARLIER.to_owned();
    }
    let precision = match results.precision {
        Precision::F32 => "float32",
        Precision::Bf16 => {
            "float32 with the operands of products in bfloat16 (ours: `--precision bf16`; PyTorch: the \
             faster of `torch.autocast` and `torch.set_float32_matmul_precision(\"medium\")`)"
        }
    };
    let mut text = SETTINGS.replace("PRECISION", precision);
    if let Some(limit) = &results.machine.limit {
        let _ = write!(
            text,
            "Both sides were limited to {limit}: `FINETUNE_SIMD`, `ATEN_CPU_CAPABILITY`, \
             `ONEDNN_MAX_CPU_ISA` and `MKL_ENABLE_INSTRUCTIONS`.\n\n"
        );
    }
    text
}

fn steps(page: &mut String, rows: &[Row]) {
    if rows.is_empty() {
        return;
    }
    *page += "## Training steps\n\n\
        A step is the batch, the forward and backward pass and the update with Adam. `lora` has rank 8 \
        on the layers that `finetune` adapts by default. PEFT has no counterpart of `peft`, which is \
        compared with PEFT's LoRA. `linear` computes all frozen layers at every step here, as PyTorch \
        does; a whole run computes them once. Peak memory is that of the whole process; own memory is \
        without what the program and its libraries use before images and weights are loaded, which with \
        PyTorch is most of it.\n\n\
        | model | pixels | batch | method | compared with | time per step | theirs | ratio | peak memory | \
        theirs | ratio | own memory | theirs | ratio |\n\
        |---|--:|--:|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    for row in rows {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            row.model,
            row.size,
            row.batch,
            row.ours.method,
            reference(&row.theirs),
            seconds(median(&row.ours.seconds)),
            seconds(median(&row.theirs.seconds)),
            ratio(row.time),
            peak(&row.ours),
            peak(&row.theirs),
            ratio(row.memory),
            own(&row.ours),
            own(&row.theirs),
            row.own_memory
                .map_or_else(String::new, |own| format!("{:.2}", own.median)),
        );
    }
    *page += "\n";
}

/// Our methods compared with our full fine-tuning.
fn methods(page: &mut String, rows: &[Row]) {
    let mut lines = String::new();
    for row in rows {
        let same = |full: &&Row| {
            full.model == row.model && full.size == row.size && full.ours.method == "sft"
        };
        let Some(full) = rows.iter().find(same) else {
            continue;
        };
        if row.ours.method == "sft" || row.theirs.side != Side::Pytorch {
            continue;
        }
        let time = Ratio::of(&row.ours.seconds, &full.ours.seconds);
        let memory = Ratio::of(&row.ours.peaks(), &full.ours.peaks());
        let theirs = Ratio::of(&row.theirs.seconds, &full.theirs.seconds);
        let _ = writeln!(
            lines,
            "| {} | {} | {} | {} | {} | {} |",
            row.model,
            row.size,
            row.ours.method,
            ratio(time),
            ratio(memory),
            ratio(theirs),
        );
    }
    if !lines.is_empty() {
        let _ = write!(
            page,
            "## Methods compared with full fine-tuning\n\nA step's time and peak memory divided by those \
             of a step of `sft` of the same side.\n\n\
             | model | pixels | method | time | peak memory | time, theirs |\n\
             |---|--:|---|--:|--:|--:|\n{lines}\n",
        );
    }
}

fn runs(page: &mut String, rows: &[Row]) {
    let Some(first) = rows.first() else { return };
    let _ = write!(
        page,
        "## Whole runs\n\n\
         {} at {} pixels, pretrained on ImageNet, on the 750 training and 250 test photographs of \
         `datasets/signs`, with batches of {}, Adam and a one-cycle schedule. \"Process\" is the time \
         from the start of the process to its end: libraries, images, training and test. Ours also \
         writes its report and weights. Accuracies are means.\n\n\
         | method | compared with | accuracy | theirs | training | theirs | ratio | process | theirs | ratio | \
         peak memory | theirs | ratio |\n\
         |---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        first.model, first.size, first.batch,
    );
    for row in rows {
        let _ = writeln!(
            page,
            "| {} | {} | {:.1} % | {:.1} % | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            row.ours.method,
            reference(&row.theirs),
            100.0 * row.ours.accuracy(),
            100.0 * row.theirs.accuracy(),
            seconds(median(&row.ours.seconds)),
            seconds(median(&row.theirs.seconds)),
            ratio(row.time),
            seconds(median(&row.ours.whole_seconds)),
            seconds(median(&row.theirs.whole_seconds)),
            row.whole.map_or_else(String::new, ratio),
            peak(&row.ours),
            peak(&row.theirs),
            ratio(row.memory),
        );
    }
    *page += "\n";
}

/// The speed-up of training steps with all threads over one.
fn scaling(page: &mut String, results: &Results) {
    let mut lines = String::new();
    for one in &results.one_thread {
        let same = |row: &&Row| {
            row.model == one.model
                && row.size == one.size
                && row.ours.method == one.ours.method
                && row.theirs.side == one.theirs.side
        };
        let Some(all) = results.steps.iter().find(same) else {
            continue;
        };
        if one.theirs.side != Side::Pytorch {
            continue;
        }
        let faster = |one: &Samples, all: &Samples| median(&one.seconds) / median(&all.seconds);
        let _ = writeln!(
            lines,
            "| {} | {} | {} | {} | {:.2} | {} | {:.2} |",
            one.model,
            one.size,
            one.ours.method,
            seconds(median(&one.ours.seconds)),
            faster(&one.ours, &all.ours),
            seconds(median(&one.theirs.seconds)),
            faster(&one.theirs, &all.theirs),
        );
    }
    if !lines.is_empty() {
        let _ = write!(
            page,
            "## Threads\n\nTime per step with one thread, and the speed-up with {} threads.\n\n\
             | model | pixels | method | one thread | speed-up | theirs | speed-up |\n\
             |---|--:|---|--:|--:|--:|--:|\n{lines}\n",
            results.threads
        );
    }
}

fn startup(page: &mut String, results: &Results) {
    let measured = results.startup.iter().filter(|one| !one.seconds.is_empty());
    let mut lines = String::new();
    for one in measured {
        let _ = writeln!(
            lines,
            "| {} | {} | {} | {} |",
            one.method,
            seconds(one.seconds.iter().copied().fold(f64::INFINITY, f64::min)),
            seconds(median(&one.seconds)),
            seconds(one.seconds.iter().copied().fold(0.0, f64::max)),
        );
    }
    if !lines.is_empty() {
        let _ = write!(
            page,
            "## Startup\n\nTime from the start of `finetune train` to its first training step, for the \
             embedded photographs and the default model.\n\n\
             | method | minimum | median | maximum |\n|---|--:|--:|--:|\n{lines}\n"
        );
    }
}

/// The name of the other side.
fn reference(theirs: &Samples) -> String {
    let name = match theirs.side {
        Side::Pytorch if theirs.method == "lora" => "PEFT's LoRA",
        side => side.name(),
    };
    if theirs.variant.is_empty() {
        name.to_owned()
    } else {
        format!("{name}, {}", theirs.variant)
    }
}

fn peak(samples: &Samples) -> String {
    let mut peaks = samples.peak_bytes.clone();
    peaks.sort_unstable();
    bytes(peaks.get(peaks.len() / 2).copied().unwrap_or(0))
}

/// The median of the own memory.
fn own(samples: &Samples) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    samples
        .own_peaks()
        .map_or_else(String::new, |peaks| bytes(median(&peaks) as u64))
}

fn ratio(ratio: Ratio) -> String {
    format!("{:.2} ({:.2}–{:.2})", ratio.median, ratio.least, ratio.most)
}
