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

use super::define::{Flag, TERMINAL, wrapped};
use super::task::Task;

pub(super) use method::SET;
pub(super) use output::{CONFIG, RESUME};

/// A heading of help, and the flags under it.
type Heading = (&'static str, fn() -> Vec<Flag>);

/// The headings, in the order of help.
const HEADINGS: [Heading; 7] = [
    ("Data", data::flags),
    ("Model", model::flags),
    ("Method", method::flags),
    ("Recipe", recipe::flags),
    ("Augmentation", augmentation::flags),
    ("Output", output::flags),
    ("Resources", resources::flags),
];

/// Columns before and after a flag in short help.
const MARGINS: usize = 8;

/// The flags of a command.
pub(super) fn flags(task: Task) -> Vec<Flag> {
    let mut all = Vec::new();
    for (heading, flags) in HEADINGS {
        let mut flags = flags();
        flags.retain(|flag| flag.tasks.contains(&task));
        let widths = flags.iter().map(Flag::width);
        let columns = TERMINAL - MARGINS - widths.max().unwrap_or(0);
        all.extend(flags.into_iter().map(|mut flag| {
            let help = flag.arg.get_help().map(ToString::to_string);
            let help = wrapped(&help.unwrap_or_default(), columns);
            flag.arg = flag.arg.help(help).help_heading(heading);
            flag
        }));
    }
    all
}
