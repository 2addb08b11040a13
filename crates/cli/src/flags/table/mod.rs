//! All flags of `compare`, `train` and `inspect`, in the order in which help shows them and runs get
//! them.

mod augmentation;
mod data;
mod method;
mod model;
mod output;
mod range;
mod recipe;
mod resources;
mod set;

use super::define::Flag;
use super::task::Task;

pub(super) use output::{CONFIG, RESUME};

/// Headings of help, and the flags under each.
const HEADINGS: [(&str, fn() -> Vec<Flag>); 7] = [
    ("Data", data::flags),
    ("Model", model::flags),
    ("Method", method::flags),
    ("Recipe", recipe::flags),
    ("Augmentation", augmentation::flags),
    ("Output", output::flags),
    ("Resources", resources::flags),
];

/// The flags of a command.
pub(super) fn flags(task: Task) -> Vec<Flag> {
    let mut flags = Vec::new();
    for (heading, under) in HEADINGS {
        for mut flag in under() {
            if flag.tasks.contains(&task) {
                flag.arg = flag.arg.help_heading(heading);
                flags.push(flag);
            }
        }
    }
    flags
}
