//! Pickles: the programs in which PyTorch's files describe their tensors.
//!
//! A pickle is run by a machine of our own, which imitates the functions of PyTorch that build tensors
//! and executes nothing. Objects that contain no tensor are left out while they are read, whatever they
//! are, so that a training script may store what it likes beside the weights. The memory that is needed
//! stays in proportion to the length of the pickle, and nothing in it is recursive.

mod call;
mod class;
mod input;
mod machine;
mod number;
mod run;
mod value;
mod walk;

use std::collections::HashMap;
use std::io::BufRead;

use self::machine::Machine;
pub(super) use self::number::Number;
use self::run::run;
use self::value::Value;
pub(super) use self::walk::MOST_TENSORS;

/// A tensor of a pickle: where its numbers are, in which layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pickled {
    pub number: Number,
    /// The name of its storage.
    pub storage: String,
    /// Its first number in the storage.
    pub offset: u64,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// The tensors of a pickle.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Names and tensors. Of two tensors with the same name, the later one counts.
    pub tensors: Vec<(String, Pickled)>,
    /// Bytes of each storage and bytes per number, by its name.
    pub storages: HashMap<String, (u64, u64)>,
    /// What tensors there are that cannot be read, if there are any.
    pub unknown: Option<String>,
}

/// Reads the tensors of a pickle.
///
/// # Errors
///
/// A sentence about what is wrong with the pickle.
pub(super) fn read(source: &mut dyn BufRead) -> Result<Contents, String> {
    let pickle = run(Machine::new(source, false)?)?;
    let mut tensors = Vec::new();
    walk::tensors(&pickle, |name, tensor| {
        tensors.push((
            name,
            Pickled {
                number: tensor.number,
                storage: pickle.store.str(tensor.key).to_owned(),
                offset: tensor.offset,
                shape: tensor.shape.to_vec(),
                strides: tensor.strides.to_vec(),
            },
        ));
        Ok(())
    })?;
    Ok(Contents {
        tensors,
        storages: pickle.storages,
        unknown: pickle.unknown,
    })
}

/// Reads a pickle that is a list of texts.
///
/// # Errors
///
/// A sentence about what is wrong with the pickle.
pub(super) fn read_texts(source: &mut dyn BufRead) -> Result<Vec<String>, String> {
    let pickle = run(Machine::new(source, true)?)?;
    let wrong = || "its list of storages is not a list of texts: it is damaged".to_owned();
    let (length, items) = pickle.store.items(pickle.root).ok_or_else(wrong)?;
    let texts: Option<Vec<_>> = items
        .iter()
        .map(|(_, item)| machine::name(&pickle.store, *item))
        .collect();
    let texts = texts.filter(|texts| texts.len() == length as usize);
    texts.ok_or_else(wrong)
}

/// Reads a pickle that is an integer; `None` if it is something else.
///
/// # Errors
///
/// A sentence about what is wrong with the pickle.
pub(super) fn read_integer(source: &mut dyn BufRead) -> Result<Option<i64>, String> {
    let pickle = run(Machine::new(source, false)?)?;
    Ok(pickle.store.long(pickle.root))
}

/// Reads a pickle that is a dictionary, and returns what it has under `key`, which is a Boolean; `None`
/// if it has none.
///
/// # Errors
///
/// A sentence about what is wrong with the pickle.
pub(super) fn read_boolean(source: &mut dyn BufRead, key: &str) -> Result<Option<bool>, String> {
    let pickle = run(Machine::new(source, false)?)?;
    let table = pickle.store.table(pickle.root).unwrap_or_default();
    Ok(table.iter().find_map(|(name, value)| match (name, value) {
        (Value::Text(name), Value::Bool(value)) if pickle.store.str(*name) == key => Some(*value),
        _ => None,
    }))
}
