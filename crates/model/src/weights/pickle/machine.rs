//! The state of the machine that a pickle is a program for: its stack, its memo and its objects.

use std::collections::HashMap;
use std::io::BufRead;

use super::input::Input;
use super::pickled::Pickled;
use super::value::{Arena, LONGEST_TEXT, Node, Store, Tensor, Text, Value};

/// The most objects on the stack: of a long list, Python puts 1000 there at a time.
const STACK: usize = 1 << 20;

/// How many numbers and texts of a tuple and of a list are kept: a shape has 64 lengths at most.
pub(super) const SCALARS: (u32, u32) = (64, 8);

/// What a pickle contains.
pub(super) struct Pickle {
    pub root: Value,
    pub store: Store,
    /// Bytes of each storage that is mentioned and bytes per number.
    pub storages: HashMap<String, (u64, u64)>,
    /// Whether tensors were made by functions that are not known.
    pub unknown: Option<String>,
}

pub(super) struct Machine<'a> {
    pub(super) store: Store,
    pub(super) storages: HashMap<String, (u64, u64)>,
    pub(super) unknown: Option<String>,
    /// Tensors that persistent ids name.
    pub(super) keyed: HashMap<String, Value>,
    pub(super) input: Input<'a>,
    pub(super) stack: Vec<Value>,
    marks: Vec<u32>,
    memo: Arena<Value>,
    /// Memo entries whose number leaves a gap after the one before.
    sparse: HashMap<u32, Value>,
    pub(super) buffer: Vec<u8>,
    pub(super) empty: Value,
    all_texts: bool,
}

impl<'a> Machine<'a> {
    /// A machine for a pickle. With `all_texts`, lists keep all their texts.
    pub(super) fn new(source: &'a mut dyn BufRead, all_texts: bool) -> Result<Self, String> {
        let mut store = Store::default();
        let empty = store.add(Node::Items(0, None), 0)?;
        Ok(Self {
            store,
            storages: HashMap::new(),
            unknown: None,
            keyed: HashMap::new(),
            input: Input::new(source),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Arena::default(),
            sparse: HashMap::new(),
            buffer: Vec::new(),
            empty,
            all_texts,
        })
    }

    /// Keeps a tensor that the pickle names by a persistent id.
    pub(super) fn keep(&mut self, key: String, tensor: &Pickled) -> Result<(), String> {
        let Some(storage) = self.text_of(&tensor.storage)? else {
            return Ok(());
        };
        let node = Node::Tensor(Box::new(Tensor {
            number: tensor.number,
            key: storage,
            offset: tensor.offset,
            shape: tensor.shape.as_slice().into(),
            strides: tensor.strides.as_slice().into(),
        }));
        let value = self.add(node)?;
        self.keyed.insert(key, value);
        Ok(())
    }

    /// How many bytes of the pickle have been read.
    pub(super) fn read(&self) -> u64 {
        self.input.position()
    }

    pub(super) fn add(&mut self, node: Node) -> Result<Value, String> {
        let read = self.read();
        self.store.add(node, read)
    }

    pub(super) fn push(&mut self, value: Value) -> Result<(), String> {
        if self.stack.len() >= STACK {
            return Err(too_deep());
        }
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn push_node(&mut self, node: Node) -> Result<(), String> {
        let value = self.add(node)?;
        self.push(value)
    }

    pub(super) fn fence(&self) -> usize {
        self.marks.last().map_or(0, |mark| *mark as usize)
    }

    pub(super) fn pop(&mut self) -> Result<Value, String> {
        let from = self.above(1)?;
        let value = self.stack[from];
        self.stack.truncate(from);
        Ok(value)
    }

    pub(super) fn top(&self) -> Result<Value, String> {
        let from = self.above(1)?;
        Ok(self.stack[from])
    }

    /// The place of the last `count` objects on the stack.
    pub(super) fn above(&self, count: usize) -> Result<usize, String> {
        let from = self.stack.len().checked_sub(count);
        from.filter(|from| *from >= self.fence()).ok_or_else(|| {
            "its pickle takes an object from an empty stack: it is damaged".to_owned()
        })
    }

    /// Marks the beginning of a container's items on the stack.
    pub(super) fn mark(&mut self) -> Result<(), String> {
        if self.marks.len() >= STACK {
            return Err(too_deep());
        }
        let place = u32::try_from(self.stack.len()).map_err(|_| too_deep())?;
        self.marks.push(place);
        Ok(())
    }

    /// Removes the object on top of the stack, or the mark there.
    pub(super) fn drop_top(&mut self) -> Result<(), String> {
        if self.marks.last().map(|mark| *mark as usize) == Some(self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    /// Gives the object on top of the stack the next number of the memo.
    pub(super) fn memoize(&mut self) -> Result<(), String> {
        let index = self.memo.len() + self.sparse.len();
        self.put(u32::try_from(index).map_err(|_| too_deep())?)
    }

    /// The place of the objects after the last mark, which is removed.
    pub(super) fn unmark(&mut self) -> Result<usize, String> {
        let mark = self.marks.pop();
        mark.map(|mark| (mark as usize).min(self.stack.len()))
            .ok_or_else(|| "its pickle has no mark for a container: it is damaged".to_owned())
    }

    /// The objects on the stack from a place on.
    pub(super) fn stacked(&self, from: usize) -> &[Value] {
        &self.stack[from..]
    }

    pub(super) fn tuple(&mut self, from: usize) -> Result<(), String> {
        let items = self.collected(from, SCALARS.0)?;
        let value = match &items {
            Node::Items(0, None) => self.empty,
            Node::Items(_, None) => Value::Other,
            _ => self.add(items)?,
        };
        self.stack.truncate(from);
        self.push(value)
    }

    /// The objects from a place of the stack on as the items of a container.
    pub(super) fn collected(&self, from: usize, scalars: u32) -> Result<Node, String> {
        let length = u32::try_from(self.stacked(from).len()).map_err(|_| too_deep())?;
        let kept: Vec<_> = (0..length)
            .zip(self.stacked(from))
            .filter(|(index, value)| self.is_kept(**value, *index, scalars))
            .map(|(index, value)| (index, *value))
            .collect();
        let kept = (!kept.is_empty()).then(|| Box::new(kept));
        Ok(Node::Items(length, kept))
    }

    pub(super) fn is_kept(&self, value: Value, index: u32, scalars: u32) -> bool {
        match value {
            Value::Other => false,
            Value::Node(_) => true,
            Value::Text(_) => index < scalars || self.all_texts,
            _ => index < scalars,
        }
    }

    /// Adds the objects from a place of the stack on to the list or set before them.
    pub(super) fn append(&mut self, from: usize) -> Result<(), String> {
        let Some(list) = from.checked_sub(1).map(|place| self.stack[place]) else {
            return Err("its pickle has no list to append to: it is damaged".to_owned());
        };
        let read = self.read();
        let added = self.stack.split_off(from);
        let Value::Node(index) = list else {
            return Ok(());
        };
        let length = match self.store.of(list) {
            Some(Node::Items(length, _)) => *length,
            // A class of its own that is a list.
            Some(Node::Table(table)) => {
                u32::try_from(table.as_ref().map_or(0, |table| table.len())).unwrap_or(u32::MAX)
            }
            _ => return Ok(()),
        };
        let kept: Vec<_> = (length..)
            .zip(&added)
            .filter(|(index, value)| self.is_kept(**value, *index, SCALARS.1))
            .map(|(index, value)| (index, *value))
            .collect();
        if !kept.is_empty() {
            self.store.spend(48 + 32 * kept.len(), read)?;
        }
        let count = u32::try_from(added.len()).map_err(|_| too_deep())?;
        match self.store.node_mut(index) {
            Some(Node::Items(length, list)) => {
                *length = length.saturating_add(count);
                if !kept.is_empty() {
                    list.get_or_insert_default().extend(kept);
                }
            }
            Some(Node::Table(table)) => {
                let entries = kept.into_iter().filter_map(|(index, value)| {
                    let node = matches!(value, Value::Node(_));
                    node.then(|| (Value::Int(index.try_into().unwrap_or(i32::MAX)), value))
                });
                table.get_or_insert_default().extend(entries);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn get(&mut self, index: u32) -> Result<(), String> {
        let found = self.memo.get(index).or_else(|| self.sparse.get(&index));
        let value = *found.ok_or_else(|| {
            format!("its pickle mentions the object {index}, which it does not have: it is damaged")
        })?;
        self.push(value)
    }

    pub(super) fn put(&mut self, index: u32) -> Result<(), String> {
        const GAP: usize = 16;
        let value = self.top()?;
        let read = self.read();
        if let Some(entry) = self.memo.get_mut(index) {
            *entry = value;
            return Ok(());
        }
        if index as usize > self.memo.len() + GAP {
            self.store.spend(48, read)?;
            self.sparse.insert(index, value);
            return Ok(());
        }
        while self.memo.len() <= index as usize {
            self.store.spend(8, read)?;
            let next = u32::try_from(self.memo.len()).unwrap_or(u32::MAX);
            self.memo.push(if next == index {
                value
            } else {
                self.sparse.remove(&next).unwrap_or(Value::Other)
            })?;
        }
        Ok(())
    }

    pub(super) fn skipped(&mut self, count: u64) -> Result<(), String> {
        self.input.skip(count)?;
        self.push(Value::Other)
    }

    /// A length in four bytes.
    pub(super) fn length4(&mut self) -> Result<u64, String> {
        Ok(u32::from_le_bytes(self.input.array()?).into())
    }

    pub(super) fn text(&mut self, length: u64) -> Result<(), String> {
        if length > LONGEST_TEXT {
            return self.skipped(length);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        self.input.bytes(length, &mut buffer)?;
        let value = match std::str::from_utf8(&buffer) {
            Ok(text) => self.kept_text(text)?,
            Err(_) => Value::Other,
        };
        self.buffer = buffer;
        self.push(value)
    }

    pub(super) fn kept_text(&mut self, text: &str) -> Result<Value, String> {
        let read = self.read();
        self.store.text(text, read)
    }

    /// An integer of `count` bytes, in little-endian two's complement.
    pub(super) fn long(&mut self, count: u64) -> Result<(), String> {
        if count > 9 {
            return self.skipped(count);
        }
        let mut bytes = std::mem::take(&mut self.buffer);
        self.input.bytes(count, &mut bytes)?;
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let fill = if negative { 0xff } else { 0 };
        let mut wide = [fill; 16];
        wide[..bytes.len()].copy_from_slice(&bytes);
        self.buffer = bytes;
        let value = i64::try_from(i128::from_le_bytes(wide)).ok();
        self.push_integer(value)
    }

    pub(super) fn push_integer(&mut self, value: Option<i64>) -> Result<(), String> {
        let read = self.read();
        let value = match value {
            Some(value) => self.store.integer(value, read)?,
            None => Value::Other,
        };
        self.push(value)
    }

    /// An integer in decimal, or a Boolean.
    pub(super) fn number_line(&mut self) -> Result<(), String> {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.input.line(&mut buffer)?;
        let text = String::from_utf8_lossy(&buffer);
        let value = match text.trim() {
            "00" => Err(Value::Bool(false)),
            "01" => Err(Value::Bool(true)),
            text => Ok(text.trim_end_matches('L').parse().ok()),
        };
        drop(text);
        self.buffer = buffer;
        match value {
            Ok(integer) => self.push_integer(integer),
            Err(boolean) => self.push(boolean),
        }
    }

    pub(super) fn index_line(&mut self) -> Result<u32, String> {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.input.line(&mut buffer)?;
        let index = String::from_utf8_lossy(&buffer).trim().parse();
        self.buffer = buffer;
        index.map_err(|_| "its pickle has a memo index that is no number: it is damaged".to_owned())
    }

    /// Pushes what `made` makes of a line.
    pub(super) fn with_line(
        &mut self,
        made: impl FnOnce(&mut Self, &str) -> Result<Value, String>,
    ) -> Result<(), String> {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.input.line(&mut buffer)?;
        let value = made(self, &String::from_utf8_lossy(&buffer))?;
        self.buffer = buffer;
        self.push(value)
    }

    /// The text that a value is, or an integer in decimal.
    pub(super) fn name(&self, value: Value) -> Option<String> {
        name(&self.store, value)
    }

    pub(super) fn text_of(&mut self, name: &str) -> Result<Option<Text>, String> {
        Ok(match self.kept_text(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        })
    }
}

/// The text that a value is, or an integer in decimal.
pub(super) fn name(store: &Store, value: Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(store.str(text).to_owned()),
        _ => store.long(value).map(|value| value.to_string()),
    }
}

fn too_deep() -> String {
    format!("its pickle holds more than {STACK} objects at a time, which no weights file does")
}
