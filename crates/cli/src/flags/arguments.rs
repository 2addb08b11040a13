//! The table as arguments of clap's commands.

use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::define::{COLUMNS, Flag, Resume, wrapped};
use super::table::{self, RESUME};
use super::task::Task;
use super::typed::Typed;

/// A command with its flags.
fn with_flags(task: Task, command: Command) -> Command {
    let flags = table::flags(task);
    let honoured = honoured(&flags);
    let command = command.args(flags.into_iter().map(|flag| match flag.resume {
        Resume::Conflict => flag.arg.conflicts_with(RESUME),
        _ => flag.arg,
    }));
    command.mut_arg(RESUME, |arg| {
        let help = arg.get_long_help().map(ToString::to_string);
        let help = help.unwrap_or_default();
        arg.long_help(format!("{help}\n\n{}", wrapped(&honoured, COLUMNS)))
    })
}

/// What `--resume` says about other flags.
fn honoured(flags: &[Flag]) -> String {
    let honoured = flags
        .iter()
        .filter(|flag| flag.name != RESUME && matches!(flag.resume, Resume::Honour));
    let honoured: Vec<_> = honoured.map(ToString::to_string).collect();
    format!(
        "Flags that change no result are applied: {}. All others must agree with the saved runs.",
        honoured.join(", ")
    )
}

/// Lets clap parse a command with the flags of the table.
macro_rules! arguments {
    ($($name:ident, $task:ident;)+) => {
        $(
            #[doc = concat!("The typed flags of [`Task::", stringify!($task), "`].")]
            #[derive(Debug, Clone)]
            pub struct $name(pub Typed);

            impl FromArgMatches for $name {
                fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
                    Ok(Self(Typed::new(Task::$task, matches.clone())))
                }

                fn update_from_arg_matches(
                    &mut self,
                    matches: &ArgMatches,
                ) -> Result<(), clap::Error> {
                    *self = Self::from_arg_matches(matches)?;
                    Ok(())
                }
            }

            impl Args for $name {
                fn augment_args(command: Command) -> Command {
                    with_flags(Task::$task, command)
                }

                fn augment_args_for_update(command: Command) -> Command {
                    with_flags(Task::$task, command)
                }
            }
        )+
    };
}

arguments! {
    CompareFlags, Compare;
    TrainFlags, Train;
    InspectFlags, Inspect;
}
