//! The objects of a pickle, as far as they matter for tensors, in bounded memory.
//!
//! An object that is no tensor and contains none is [`Value::Other`], which takes no memory of its own.
//! Containers keep what may lead to a tensor: other containers, and the numbers and texts that are the
//! arguments of the functions that build tensors.

use super::number::Number;

/// Memory that a pickle may need whatever its length, bytes. More is allowed in proportion to it.
const ALLOWED: u64 = 24 << 20;

/// An object on the stack, in the memo or in a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// An object that does not matter.
    Other,
    Bool(bool),
    Int(i32),
    /// An integer beyond 32 bits: its index in [`Store::long`].
    Long(u32),
    Text(Text),
    Class(Class),
    /// A container, storage or tensor: its index in [`Store::node`].
    Node(u32),
}

/// A class or function that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Any other one.
    Unknown,
    OrderedDict,
    Set,
    /// `torch.Size`, which is made from a tuple.
    Size,
    /// `torch._utils._rebuild_tensor`, `_v2` and `_v3`, by its number.
    RebuildTensor(u8),
    /// `torch._utils._rebuild_parameter`, whose first argument is the tensor.
    RebuildParameter,
    /// `torch._tensor._rebuild_from_type_v2`, which calls its first argument.
    RebuildFromType,
    /// The class of storages of a type of numbers.
    Storage(Number),
    /// `torch.storage.UntypedStorage`: bytes.
    UntypedStorage,
    /// `torch.float32` and others.
    Type(Number),
}

/// A text, by its place in [`Store::text`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Text(u32);

/// An object with a place of its own. Large parts are behind pointers: most objects are empty.
#[derive(Debug)]
pub(super) enum Node {
    /// A list, tuple or set: how many items it has, and those that matter by their indices.
    #[allow(clippy::box_collection)]
    Items(u32, Option<Box<Vec<(u32, Value)>>>),
    /// A dictionary, or an object with attributes: keys and values.
    #[allow(clippy::box_collection)]
    Table(Option<Box<Vec<(Value, Value)>>>),
    Storage(Box<Storage>),
    Tensor(Box<Tensor>),
}

/// A storage, as its persistent id describes it.
#[derive(Debug, Clone)]
pub(super) struct Storage {
    /// `None` if it consists of bytes.
    pub number: Option<Number>,
    pub key: Text,
    /// First number of the view, if it is one, otherwise 0.
    pub offset: u64,
    /// One past the last number that a tensor may use.
    pub end: u64,
}

/// A tensor: where its numbers are.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    pub number: Number,
    pub key: Text,
    /// Its first number in the storage.
    pub offset: u64,
    pub shape: Box<[usize]>,
    pub strides: Box<[usize]>,
}

const _: () = assert!(size_of::<Value>() == 8 && size_of::<Node>() == 16);

/// All objects of a pickle.
#[derive(Debug, Default)]
pub(super) struct Store {
    nodes: Arena<Node>,
    longs: Arena<i64>,
    /// Parts of [`TEXTS`] bytes; a text is its length in four bytes, then its bytes.
    texts: Vec<Vec<u8>>,
    spent: u64,
}

/// Bytes of a part of the texts.
const TEXTS: usize = 1 << 18;

/// The longest text that is kept, bytes: the name of a tensor.
pub(super) const LONGEST_TEXT: u64 = 1 << 16;

impl Store {
    /// Counts `bytes` of memory after `read` bytes of the pickle.
    pub(super) fn spend(&mut self, bytes: usize, read: u64) -> Result<(), String> {
        self.spent += bytes as u64;
        if self.spent > ALLOWED + 3 * read {
            return Err(format!(
                "its pickle of {read} bytes or more consists of so many small objects that it is \
                 not read any further; save the weights alone with torch.save(model.state_dict(), FILE)"
            ));
        }
        Ok(())
    }

    pub(super) fn add(&mut self, node: Node, read: u64) -> Result<Value, String> {
        let size = match &node {
            Node::Items(_, None) | Node::Table(None) => 0,
            Node::Items(_, Some(kept)) => 48 + 12 * kept.capacity(),
            Node::Table(Some(table)) => 48 + 16 * table.capacity(),
            Node::Storage(_) => 64,
            Node::Tensor(tensor) => 96 + 32 * tensor.shape.len(),
        };
        self.spend(size_of::<Node>() + size, read)?;
        self.nodes.push(node).map(Value::Node)
    }

    pub(super) fn node(&self, index: u32) -> Option<&Node> {
        self.nodes.get(index)
    }

    pub(super) fn node_mut(&mut self, index: u32) -> Option<&mut Node> {
        self.nodes.get_mut(index)
    }

    /// How many nodes there are.
    pub(super) fn count(&self) -> usize {
        self.nodes.length
    }

    pub(super) fn integer(&mut self, value: i64, read: u64) -> Result<Value, String> {
        if let Ok(small) = i32::try_from(value) {
            return Ok(Value::Int(small));
        }
        self.spend(8, read)?;
        self.longs.push(value).map(Value::Long)
    }

    /// The integer that a value is.
    pub(super) fn long(&self, value: Value) -> Option<i64> {
        match value {
            Value::Int(value) => Some(value.into()),
            Value::Long(index) => self.longs.get(index).copied(),
            _ => None,
        }
    }

    pub(super) fn text(&mut self, text: &str, read: u64) -> Result<Value, String> {
        let size = text.len() + 4;
        if size > TEXTS {
            return Ok(Value::Other);
        }
        self.spend(size, read)?;
        if self
            .texts
            .last()
            .is_none_or(|part| part.len() + size > TEXTS)
        {
            self.texts.push(Vec::with_capacity(TEXTS));
        }
        let index = self.texts.len() - 1;
        let part = &mut self.texts[index];
        let place = u32::try_from(index * TEXTS + part.len());
        let length = u32::try_from(text.len());
        let (Ok(place), Ok(length)) = (place, length) else {
            return Ok(Value::Other);
        };
        part.extend_from_slice(&length.to_le_bytes());
        part.extend_from_slice(text.as_bytes());
        Ok(Value::Text(Text(place)))
    }

    pub(super) fn str(&self, text: Text) -> &str {
        let place = text.0 as usize;
        let stored = || {
            let part = self.texts.get(place / TEXTS)?.get(place % TEXTS..)?;
            let (length, rest) = part.split_first_chunk::<4>()?;
            let bytes = rest.get(..u32::from_le_bytes(*length) as usize)?;
            std::str::from_utf8(bytes).ok()
        };
        stored().unwrap_or_default()
    }

    /// The node that a value is.
    pub(super) fn of(&self, value: Value) -> Option<&Node> {
        match value {
            Value::Node(index) => self.node(index),
            _ => None,
        }
    }

    /// The items of a list, tuple or set; `None` for everything else.
    pub(super) fn items(&self, value: Value) -> Option<(u32, &[(u32, Value)])> {
        match self.of(value)? {
            Node::Items(length, None) => Some((*length, &[])),
            Node::Items(length, Some(kept)) => Some((*length, kept)),
            _ => None,
        }
    }

    /// An item of a list or tuple.
    pub(super) fn item(&self, value: Value, index: u32) -> Option<Value> {
        let (_, kept) = self.items(value)?;
        let at = kept
            .binary_search_by_key(&index, |(index, _)| *index)
            .ok()?;
        Some(kept[at].1)
    }

    /// Keys and values of a dictionary or object; `None` for everything else.
    pub(super) fn table(&self, value: Value) -> Option<&[(Value, Value)]> {
        match self.of(value)? {
            Node::Table(None) => Some(&[]),
            Node::Table(Some(table)) => Some(table),
            _ => None,
        }
    }
}

/// A growing array that never moves, so that it needs no more memory than it has entries.
#[derive(Debug)]
pub(super) struct Arena<T> {
    parts: Vec<Vec<T>>,
    length: usize,
}

const PART: usize = 1 << 13;

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self {
            parts: Vec::new(),
            length: 0,
        }
    }
}

impl<T> Arena<T> {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn push(&mut self, value: T) -> Result<u32, String> {
        let index = u32::try_from(self.length).map_err(|_| "its pickle is too large".to_owned())?;
        if self.parts.last().is_none_or(|part| part.len() == PART) {
            self.parts.push(Vec::with_capacity(PART));
        }
        if let Some(part) = self.parts.last_mut() {
            part.push(value);
        }
        self.length += 1;
        Ok(index)
    }

    pub(super) fn get(&self, index: u32) -> Option<&T> {
        let index = index as usize;
        self.parts.get(index / PART)?.get(index % PART)
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        let index = index as usize;
        self.parts.get_mut(index / PART)?.get_mut(index % PART)
    }
}
