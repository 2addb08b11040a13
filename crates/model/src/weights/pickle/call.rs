//! What the calls of a pickle make. Nothing is executed: the functions of PyTorch that build tensors are
//! imitated, and every other call gives an object that has its arguments.

use super::machine::Machine;
use super::value::{Class, Node, Storage, Store, Tensor, Value};

/// How deeply calls that rebuild a tensor of a subclass are nested at most.
const NESTED: usize = 16;

/// What a call makes of its arguments.
pub(super) fn call(
    machine: &mut Machine<'_>,
    mut function: Value,
    mut arguments: Value,
) -> Result<Value, String> {
    // `_rebuild_from_type_v2` calls its first argument with its third; the type, its second, does not
    // matter. A file may nest such calls, and even in a circle.
    for _ in 0..NESTED {
        if function != Value::Class(Class::RebuildFromType) {
            break;
        }
        let inner = machine.store.item(arguments, 0);
        let (Some(inner), Some(of_inner)) = (inner, machine.store.item(arguments, 2)) else {
            return Ok(Value::Other);
        };
        (function, arguments) = (inner, of_inner);
    }
    let class = match function {
        Value::Class(class) => class,
        _ => Class::Unknown,
    };
    match class {
        Class::OrderedDict => ordered(machine, arguments),
        Class::Set | Class::Size => {
            let first = machine.store.item(arguments, 0);
            match first.filter(|first| machine.store.items(*first).is_some()) {
                Some(items) => Ok(items),
                None => machine.add(Node::Items(0, None)),
            }
        }
        Class::RebuildTensor(version) => tensor(machine, version, arguments),
        Class::RebuildParameter => Ok(machine.store.item(arguments, 0).unwrap_or(Value::Other)),
        _ => object(machine, arguments),
    }
}

/// An object of a class that is not known: whatever its arguments contain, by their indices.
fn object(machine: &mut Machine<'_>, arguments: Value) -> Result<Value, String> {
    let (_, kept) = machine.store.items(arguments).unwrap_or_default();
    let table: Vec<_> = kept
        .iter()
        .filter(|(_, value)| matches!(value, Value::Node(_)))
        .filter_map(|(index, value)| Some((Value::Int(i32::try_from(*index).ok()?), *value)))
        .collect();
    let table = (!table.is_empty()).then(|| Box::new(table));
    machine.add(Node::Table(table))
}

/// `OrderedDict()` or `OrderedDict([(key, value), …])`.
fn ordered(machine: &mut Machine<'_>, arguments: Value) -> Result<Value, String> {
    let store = &machine.store;
    let pairs = store
        .item(arguments, 0)
        .and_then(|pairs| store.items(pairs))
        .map_or(&[][..], |(_, pairs)| pairs);
    let table: Vec<_> = pairs
        .iter()
        .filter_map(|(_, pair)| Some((store.item(*pair, 0)?, store.item(*pair, 1)?)))
        .filter(|(_, value)| matters(*value))
        .collect();
    let table = (!table.is_empty()).then(|| Box::new(table));
    machine.add(Node::Table(table))
}

/// Whether a value of a dictionary is kept. Booleans are: one says in which order bytes are.
fn matters(value: Value) -> bool {
    matches!(value, Value::Node(_) | Value::Bool(_))
}

/// Adds the keys and values from a place of the stack on to a dictionary.
pub(super) fn set_items(
    machine: &mut Machine<'_>,
    table: Value,
    from: usize,
) -> Result<(), String> {
    let Value::Node(index) = table else {
        return Ok(());
    };
    let pairs: Vec<(Value, Value)> = machine
        .stacked(from)
        .chunks(2)
        .filter_map(|pair| match pair {
            [key, value] if matters(*value) => Some((*key, *value)),
            _ => None,
        })
        .collect();
    extend(machine, index, pairs)
}

fn extend(machine: &mut Machine<'_>, index: u32, pairs: Vec<(Value, Value)>) -> Result<(), String> {
    if pairs.is_empty() {
        return Ok(());
    }
    let read = machine.read();
    machine.store.spend(48 + 32 * pairs.len(), read)?;
    if let Some(Node::Table(table)) = machine.store.node_mut(index) {
        table.get_or_insert_default().extend(pairs);
    }
    Ok(())
}

/// Gives an object its attributes: a dictionary, or a pair of two of them.
pub(super) fn build(machine: &mut Machine<'_>, object: Value, state: Value) -> Result<(), String> {
    let Value::Node(index) = object else {
        return Ok(());
    };
    if !matches!(machine.store.of(object), Some(Node::Table(_))) || state == object {
        return Ok(());
    }
    let parts = match machine.store.of(state) {
        Some(Node::Table(_)) => vec![state],
        Some(Node::Items(length, Some(kept))) if *length <= 8 => {
            kept.iter().map(|(_, value)| *value).collect()
        }
        // A state of its own kind: whatever it contains.
        Some(Node::Items(_, Some(_)) | Node::Tensor(_)) => {
            return extend(machine, index, vec![(Value::Other, state)]);
        }
        _ => Vec::new(),
    };
    for part in parts {
        let pairs = match machine.store.of(part) {
            Some(Node::Table(Some(table))) if part != object => {
                let length = table.len();
                let read = machine.read();
                machine.store.spend(16 * length, read)?;
                machine.store.table(part).unwrap_or_default().to_vec()
            }
            Some(Node::Items(_, Some(_)) | Node::Tensor(_)) => vec![(Value::Other, part)],
            _ => continue,
        };
        extend(machine, index, pairs)?;
    }
    Ok(())
}

/// The object that a persistent id stands for: `('storage', class, key, place, length[, view])`.
pub(super) fn persistent(machine: &mut Machine<'_>, id: Value) -> Result<Value, String> {
    if !machine.keyed.is_empty()
        && let Some(key) = machine.name(id)
    {
        return Ok(machine.keyed.get(&key).copied().unwrap_or(Value::Other));
    }
    let store = &machine.store;
    let field = |index| store.item(id, index).unwrap_or(Value::Other);
    let tag = machine.name(field(0));
    if tag.as_deref() != Some("storage") {
        return Ok(Value::Other);
    }
    let number = match field(1) {
        Value::Class(Class::Storage(number)) => Some(number),
        Value::Class(Class::UntypedStorage) => None,
        _ => {
            let known = "its pickle has a storage of an unknown type of numbers";
            return Err(known.to_owned());
        }
    };
    let Some(key) = machine.name(field(2)) else {
        return Err("its pickle has a storage without a key".to_owned());
    };
    let count = size(store, field(4))
        .ok_or_else(|| "its pickle has a storage without a length".to_owned())?;
    let width = number.map_or(1, |number| number.width() as u64);
    let bytes = count
        .checked_mul(width)
        .ok_or_else(|| "its pickle has a storage whose length is too large".to_owned())?;
    // Early files describe views of storages: (key, first number, length).
    let view = field(5);
    let (offset, end) = match store.items(view) {
        Some((3, _)) => {
            let at = |index| size(store, store.item(view, index)?);
            at(1)
                .zip(at(2))
                .and_then(|(offset, length)| Some((offset, offset.checked_add(length)?)))
                .filter(|(_, end)| *end <= count)
                .ok_or_else(|| {
                    "its pickle has a view that leaves its storage: it is damaged".to_owned()
                })?
        }
        _ => (0, count),
    };
    let read = machine.read();
    match machine.storages.get(&key) {
        Some(before) if *before != (bytes, width) => {
            return Err("its pickle describes a storage twice, in different ways".to_owned());
        }
        Some(_) => {}
        None => {
            machine.store.spend(128 + key.len(), read)?;
            machine.storages.insert(key.clone(), (bytes, width));
        }
    }
    let Some(key) = machine.text_of(&key)? else {
        return Ok(Value::Other);
    };
    machine.add(Node::Storage(Box::new(Storage {
        number,
        key,
        offset,
        end,
    })))
}

/// A length or offset.
fn size(store: &Store, value: Value) -> Option<u64> {
    store
        .long(value)
        .and_then(|value| u64::try_from(value).ok())
}

/// `_rebuild_tensor(storage, offset, shape, strides, …)`; version 3 has the type as its seventh argument.
fn tensor(machine: &mut Machine<'_>, version: u8, arguments: Value) -> Result<Value, String> {
    let store = &machine.store;
    let field = |index| store.item(arguments, index).unwrap_or(Value::Other);
    let Some(Node::Storage(storage)) = store.of(field(0)) else {
        // The numbers are inside the pickle, or nowhere.
        machine.unknown =
            Some("tensors whose numbers are not in a storage of torch.save".to_owned());
        return Ok(Value::Other);
    };
    let number = match (version, field(6)) {
        (3, Value::Class(Class::Type(number))) => number,
        (3, _) => {
            machine.unknown = Some("tensors of an unknown type of numbers".to_owned());
            return Ok(Value::Other);
        }
        _ => storage
            .number
            .ok_or_else(|| "its pickle has a tensor without a type of numbers".to_owned())?,
    };
    let wrong = |what: &'static str| {
        move || format!("its pickle has a tensor {what}: it is damaged or made to do harm")
    };
    let lengths = |value| -> Option<Box<[usize]>> {
        let (length, kept) = store.items(value)?;
        let lengths: Option<Box<[usize]>> = kept
            .iter()
            .map(|(_, value)| usize::try_from(store.long(*value)?).ok())
            .collect();
        lengths.filter(|lengths| lengths.len() == length as usize)
    };
    let shape = lengths(field(2)).ok_or_else(wrong("without a shape of lengths"))?;
    let strides = lengths(field(3)).ok_or_else(wrong("without strides"))?;
    if shape.len() != strides.len() {
        return Err(wrong("with more strides than lengths, or fewer")());
    }
    let offset = size(store, field(1)).ok_or_else(wrong("without an offset"))?;
    let offset = offset
        .checked_add(storage.offset)
        .ok_or_else(wrong("with an offset that is too large"))?;
    // A typed storage has numbers, an untyped one bytes.
    let width = storage.number.map_or(1, |number| number.width() as u64);
    let available = storage.end.saturating_mul(width) / number.width() as u64;
    let end = extent(offset, &shape, &strides)
        .ok_or_else(wrong("whose shape and strides are too large"))?;
    if end > available {
        return Err(wrong("that leaves its storage")());
    }
    let tensor = Tensor {
        number,
        key: storage.key,
        offset,
        shape,
        strides,
    };
    machine.add(Node::Tensor(Box::new(tensor)))
}

/// One past the last number of a storage that a tensor uses; `None` if it is beyond what memory can hold.
pub(in crate::weights) fn extent(offset: u64, shape: &[usize], strides: &[usize]) -> Option<u64> {
    if finetune_files::elements(shape)? == 0 {
        return Some(offset);
    }
    let mut last = offset;
    for (length, stride) in shape.iter().zip(strides) {
        let step = u64::try_from(length.checked_sub(1)?).ok()?;
        last = last.checked_add(step.checked_mul(u64::try_from(*stride).ok()?)?)?;
    }
    last.checked_add(1)
}
