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
mod pickled;
mod run;
mod value;
mod walk;

use std::collections::HashMap;
use std::io::BufRead;

pub(super) use self::call::extent;
use self::machine::Machine;
pub(super) use self::number::Number;
pub(super) use self::pickled::Pickled;
use self::run::run;
use self::value::{Class, Value};
pub(super) use self::walk::MOST_TENSORS;

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
    read_with(source, Vec::new())
}

/// Reads the tensors of a pickle, whose persistent ids may be keys of the given tensors.
///
/// # Errors
///
/// A sentence about what is wrong with the pickle.
pub(super) fn read_with(
    source: &mut dyn BufRead,
    keyed: Vec<(String, Pickled)>,
) -> Result<Contents, String> {
    let mut machine = Machine::new(source, false)?;
    for (key, tensor) in keyed {
        machine.keep(key, &tensor)?;
    }
    let pickle = run(machine)?;
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

/// Reads a pickle that is a tuple of a key, what belongs to it, and a class with a type of numbers: that
/// of a storage or tensor.
///
/// # Errors
///
/// A sentence about what is wrong with the pickle.
pub(super) fn read_fields(
    source: &mut dyn BufRead,
) -> Result<(String, String, Option<Number>), String> {
    let pickle = run(Machine::new(source, false)?)?;
    let field = |index| {
        pickle
            .store
            .item(pickle.root, index)
            .unwrap_or(Value::Other)
    };
    let name = |value| machine::name(&pickle.store, value);
    let number = match field(2) {
        Value::Class(Class::Storage(number)) => Some(number),
        _ => None,
    };
    let key = name(field(0)).ok_or_else(|| "it has a tensor without a key".to_owned())?;
    Ok((key, name(field(1)).unwrap_or_default(), number))
}

/// Reads a pickle that is a list. Returns how many items it has.
///
/// # Errors
///
/// A sentence about what is wrong with the pickle.
pub(super) fn count_items(source: &mut dyn BufRead) -> Result<u32, String> {
    let pickle = run(Machine::new(source, false)?)?;
    let items = pickle.store.items(pickle.root).map(|(count, _)| count);
    items.ok_or_else(|| "it has something else than a list: it is damaged".to_owned())
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
