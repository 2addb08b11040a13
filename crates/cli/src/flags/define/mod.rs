//! How a flag of the table is defined: one expression says how it is typed, what help says about it,
//! what it changes, and what `--resume` does with it.

pub(super) mod choice;
mod definition;
mod flag;
mod variants;
mod wrap;

pub(super) use definition::{
    choice, list, named_choice, on_off, repeated, switch, value, value_by,
};
pub(super) use flag::{About, Effect, Flag, Resume};
pub(super) use wrap::{COLUMNS, TERMINAL, wrapped};
