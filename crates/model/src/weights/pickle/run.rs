//! The instructions of a pickle (Python's `Lib/pickletools.py` lists them).

use super::call::{build, call, persistent, set_items};
use super::class::class;
use super::machine::{Machine, Pickle, SCALARS};
use super::value::{Class, Node, Value};

/// Runs the pickle to its end.
pub(super) fn run(mut machine: Machine<'_>) -> Result<Pickle, String> {
    loop {
        let code = machine.input.byte()?;
        if code == b'.' {
            let root = machine.pop()?;
            return Ok(Pickle {
                root,
                store: machine.store,
                storages: machine.storages,
                unknown: machine.unknown,
            });
        }
        step(&mut machine, code)?;
    }
}

#[allow(clippy::too_many_lines)] // a table
fn step(machine: &mut Machine<'_>, code: u8) -> Result<(), String> {
    match code {
        0x80 => match machine.input.byte()? {
            0..=5 => Ok(()),
            other => Err(format!("its pickle has the protocol {other}, not 0 to 5")),
        },
        0x95 => machine.input.skip(8), // a frame's length
        // Numbers and constants.
        b'N' | 0x97 => machine.push(Value::Other),
        0x98 => Ok(()), // the buffer on the stack is read-only
        0x88 => machine.push(Value::Bool(true)),
        0x89 => machine.push(Value::Bool(false)),
        b'K' => {
            let [value] = machine.input.array()?;
            machine.push(Value::Int(value.into()))
        }
        b'M' => {
            let value = u16::from_le_bytes(machine.input.array()?);
            machine.push(Value::Int(value.into()))
        }
        b'J' => {
            let value = i32::from_le_bytes(machine.input.array()?);
            machine.push(Value::Int(value))
        }
        b'I' | b'L' => machine.number_line(),
        0x8a => {
            let count = machine.input.byte()?;
            machine.long(count.into())
        }
        0x8b => {
            let count = machine.length4()?;
            machine.long(count)
        }
        b'F' => machine.with_line(|_, _| Ok(Value::Other)),
        b'G' => machine.skipped(8),
        // Texts and bytes.
        b'S' => machine.with_line(|machine, line| {
            let text = line.strip_prefix(['\'', '"']).unwrap_or(line);
            let text = text.strip_suffix(['\'', '"']).unwrap_or(text);
            machine.kept_text(&unescaped(text))
        }),
        b'V' => machine.with_line(|machine, line| machine.kept_text(&unescaped(line))),
        b'T' | b'X' => {
            let length = machine.length4()?;
            machine.text(length)
        }
        b'U' | 0x8c => {
            let length = machine.input.byte()?;
            machine.text(length.into())
        }
        0x8d => {
            let length = u64::from_le_bytes(machine.input.array()?);
            machine.text(length)
        }
        b'B' => {
            let length = machine.length4()?;
            machine.skipped(length)
        }
        b'C' => {
            let length = machine.input.byte()?;
            machine.skipped(length.into())
        }
        0x8e | 0x96 => {
            let length = u64::from_le_bytes(machine.input.array()?);
            machine.skipped(length)
        }
        // Containers.
        b'(' => machine.mark(),
        b')' => machine.push(machine.empty),
        b']' | 0x8f => machine.push_node(Node::Items(0, None)),
        b'}' => machine.push_node(Node::Table(None)),
        0x85..=0x87 => {
            let from = machine.above(usize::from(code - 0x84))?;
            machine.tuple(from)
        }
        b't' => {
            let from = machine.unmark()?;
            machine.tuple(from)
        }
        b'l' | 0x91 => {
            let from = machine.unmark()?;
            let items = machine.collected(from, SCALARS.1)?;
            machine.stack.truncate(from);
            machine.push_node(items)
        }
        b'a' => {
            let from = machine.above(1)?;
            machine.append(from)
        }
        b'e' | 0x90 => {
            let from = machine.unmark()?;
            machine.append(from)
        }
        b'd' => {
            let from = machine.unmark()?;
            let table = machine.add(Node::Table(None))?;
            set_items(machine, table, from)?;
            machine.stack.truncate(from);
            machine.push(table)
        }
        b's' => {
            let from = machine.above(2)?;
            set(machine, from)
        }
        b'u' => {
            let from = machine.unmark()?;
            set(machine, from)
        }
        // The stack and the memo.
        b'0' => machine.drop_top(),
        b'1' => {
            let from = machine.unmark()?;
            machine.stack.truncate(from);
            Ok(())
        }
        b'2' => {
            let top = machine.top()?;
            machine.push(top)
        }
        b'g' => {
            let index = machine.index_line()?;
            machine.get(index)
        }
        b'h' => {
            let index = machine.input.byte()?;
            machine.get(index.into())
        }
        b'j' => {
            let index = u32::from_le_bytes(machine.input.array()?);
            machine.get(index)
        }
        b'p' => {
            let index = machine.index_line()?;
            machine.put(index)
        }
        b'q' => {
            let index = machine.input.byte()?;
            machine.put(index.into())
        }
        b'r' => {
            let index = u32::from_le_bytes(machine.input.array()?);
            machine.put(index)
        }
        0x94 => machine.memoize(),
        _ => calls(machine, code),
    }
}

/// Classes, calls and persistent ids.
fn calls(machine: &mut Machine<'_>, code: u8) -> Result<(), String> {
    match code {
        b'c' => {
            let class = class_lines(machine)?;
            machine.push(class)
        }
        0x93 => {
            let (name, module) = (machine.pop()?, machine.pop()?);
            let (Value::Text(name), Value::Text(module)) = (name, module) else {
                return Err("its pickle names a class by something that is no text".to_owned());
            };
            let class = class(machine.store.str(module), machine.store.str(name));
            machine.push(Value::Class(class))
        }
        0x82..=0x84 => machine.skipped([1, 2, 4][usize::from(code - 0x82)]),
        b'R' | 0x81 => {
            let (arguments, function) = (machine.pop()?, machine.pop()?);
            let made = call(machine, function, arguments)?;
            machine.push(made)
        }
        0x92 => {
            let (_, arguments, class) = (machine.pop()?, machine.pop()?, machine.pop()?);
            let made = call(machine, class, arguments)?;
            machine.push(made)
        }
        b'i' | b'o' => {
            let class = if code == b'i' {
                class_lines(machine)?
            } else {
                Value::Class(Class::Unknown)
            };
            let from = machine.unmark()?;
            let arguments = machine.collected(from, SCALARS.0)?;
            machine.stack.truncate(from);
            let arguments = machine.add(arguments)?;
            let made = call(machine, class, arguments)?;
            machine.push(made)
        }
        b'b' => {
            let state = machine.pop()?;
            let object = machine.top()?;
            build(machine, object, state)
        }
        b'P' => machine.with_line(|machine, line| {
            let id = machine.kept_text(line)?;
            persistent(machine, id)
        }),
        b'Q' => {
            let id = machine.pop()?;
            let made = persistent(machine, id)?;
            machine.push(made)
        }
        other => Err(format!(
            "its pickle has the instruction 0x{other:02x}, which does not exist: it is damaged \
             or not a pickle"
        )),
    }
}

/// Adds the keys and values from a place of the stack on to the dictionary before them.
fn set(machine: &mut Machine<'_>, from: usize) -> Result<(), String> {
    let Some(table) = from.checked_sub(1).map(|place| machine.stack[place]) else {
        return Err("its pickle has no dictionary to add to: it is damaged".to_owned());
    };
    set_items(machine, table, from)?;
    machine.stack.truncate(from);
    Ok(())
}

/// A class by two lines, of its module and its name.
fn class_lines(machine: &mut Machine<'_>) -> Result<Value, String> {
    let mut module = Vec::new();
    machine.input.line(&mut module)?;
    let mut buffer = std::mem::take(&mut machine.buffer);
    machine.input.line(&mut buffer)?;
    let class = class(
        &String::from_utf8_lossy(&module),
        &String::from_utf8_lossy(&buffer),
    );
    machine.buffer = buffer;
    Ok(Value::Class(class))
}

/// Text of protocol 0: `\n`, `\x41`, `\u00e9`, `\U0001f600` and escaped quotes and backslashes.
fn unescaped(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        let digits = match rest.next() {
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            Some('n') => {
                text.push('\n');
                continue;
            }
            Some(other) => {
                text.push(other);
                continue;
            }
            None => break,
        };
        let code: String = rest.by_ref().take(digits).collect();
        let character = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
        text.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    text
}
