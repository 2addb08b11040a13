//! From the objects of a pickle to named tensors.

use std::slice::Iter;

use super::machine::{Pickle, name};
use super::value::{Node, Store, Tensor, Value};

/// The most tensors of a file.
pub(in crate::weights) const MOST_TENSORS: usize = 1 << 16;

/// The most bytes of all names together.
const MOST_NAMES: usize = 12 << 20;

/// The most entries of objects that are looked at, each as often as there are ways to it. A name counts as
/// an entry per [`NAME_PART`] bytes.
const MOST_LOOKS: usize = 1 << 22;
const NAME_PART: usize = 64;

/// The tables of a `torch.nn.Module`, whose names do not belong to the names of its tensors.
const MODULE: [&str; 3] = ["_parameters", "_buffers", "_modules"];

/// An object on the way from the root to a tensor.
struct Step<'a> {
    node: u32,
    below: Below<'a>,
    /// Length of the name of the object itself.
    named: usize,
}

/// Calls `each` with every tensor and its name: the keys and indices that lead to it, joined by dots. A
/// module is named as its `state_dict()` names it.
pub(super) fn tensors(
    pickle: &Pickle,
    mut each: impl FnMut(String, &Tensor) -> Result<(), String>,
) -> Result<(), String> {
    let store = &pickle.store;
    let Value::Node(root) = pickle.root else {
        return Ok(());
    };
    let leads = leading(store, root);
    let mut on_path = vec![false; store.count()];
    let (mut found, mut names, mut looks) = (0, 0, 0);
    let mut path = String::new();
    let mut steps = vec![Step {
        node: root,
        below: Below::of(store, root),
        named: 0,
    }];
    on_path[root as usize] = true;
    if let Some(Node::Tensor(tensor)) = store.node(root) {
        return each(String::new(), tensor);
    }
    while let Some(step) = steps.last_mut() {
        let Some((name, node)) = step.below.next(store, &leads) else {
            on_path[step.node as usize] = false;
            steps.pop();
            continue;
        };
        // A circle leads to no new tensor.
        if on_path[node as usize] {
            continue;
        }
        path.truncate(step.named);
        if let Some(name) = name {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&name);
            looks += name.len() / NAME_PART;
        }
        if let Some(Node::Tensor(tensor)) = store.node(node) {
            found += 1;
            names += path.len();
            each(path.clone(), tensor)?;
        } else {
            on_path[node as usize] = true;
            let below = Below::of(store, node);
            // All of them are looked at, and not only those that lead to a tensor.
            looks += 1 + below.len();
            steps.push(Step {
                node,
                below,
                named: path.len(),
            });
        }
        if found > MOST_TENSORS || names.max(path.len()) > MOST_NAMES || looks > MOST_LOOKS {
            return Err(format!(
                "it has more than {MOST_TENSORS} tensors, or their names are too long; save the \
                 weights alone with torch.save(model.state_dict(), FILE)"
            ));
        }
    }
    Ok(())
}

/// What is directly below an object and has not been visited. It is not collected: an object may have
/// millions of entries.
enum Below<'a> {
    Items(Iter<'a, (u32, Value)>),
    Table(Iter<'a, (Value, Value)>),
    Module {
        /// Its parameters, buffers and modules.
        tables: [Iter<'a, (Value, Value)>; 3],
        /// The buffers that are not part of its state.
        fleeting: Vec<String>,
        /// How many entries it has itself.
        own: usize,
    },
}

impl<'a> Below<'a> {
    fn of(store: &'a Store, node: u32) -> Self {
        let value = Value::Node(node);
        if let Some((_, items)) = store.items(value) {
            return Self::Items(items.iter());
        }
        let table = store.table(value).unwrap_or_default();
        match module(store, table) {
            Some(tables) => Self::Module {
                tables: tables.map(<[_]>::iter),
                fleeting: fleeting(store, table),
                own: table.len(),
            },
            None => Self::Table(table.iter()),
        }
    }

    /// How many entries are looked at for it.
    fn len(&self) -> usize {
        match self {
            Self::Items(items) => items.len(),
            Self::Table(table) => table.len(),
            Self::Module { tables, own, .. } => own + tables.iter().map(Iter::len).sum::<usize>(),
        }
    }

    /// The next object that leads to a tensor, and its name.
    fn next(&mut self, store: &Store, leads: &[bool]) -> Option<(Option<String>, u32)> {
        let leading = |value: &Value| match value {
            Value::Node(node) if leads.get(*node as usize) == Some(&true) => Some(*node),
            _ => None,
        };
        match self {
            Self::Items(items) => items.find_map(|(index, value)| {
                let node = leading(value)?;
                Some((Some(index.to_string()), node))
            }),
            Self::Table(table) => table.find_map(|(key, value)| {
                let node = leading(value)?;
                // A key that is neither a text nor an integer.
                let key = name(store, *key).unwrap_or_else(|| "…".to_owned());
                Some((Some(key), node))
            }),
            Self::Module {
                tables: [parameters, buffers, modules],
                fleeting,
                ..
            } => {
                let named = |(key, value): &(Value, Value)| {
                    let node = leading(value)?;
                    Some((name(store, *key), node))
                };
                let is_stored = |(key, _): &(Option<String>, u32)| {
                    !key.as_ref().is_some_and(|key| fleeting.contains(key))
                };
                parameters
                    .find_map(named)
                    .or_else(|| buffers.filter_map(named).find(is_stored))
                    .or_else(|| modules.find_map(named))
            }
        }
    }
}

/// The three tables of a module; `None` if the object is none. Its class does not matter: everybody's
/// own networks are modules.
fn module<'a>(store: &'a Store, table: &[(Value, Value)]) -> Option<[&'a [(Value, Value)]; 3]> {
    let mut tables = [None; 3];
    for (key, value) in table {
        let Value::Text(key) = key else { continue };
        if let Some(index) = MODULE.iter().position(|name| *name == store.str(*key)) {
            tables[index] = store.table(*value);
        }
    }
    match tables {
        [Some(parameters), Some(buffers), Some(modules)] => Some([parameters, buffers, modules]),
        _ => None,
    }
}

/// The buffers of a module that are not part of its state.
fn fleeting(store: &Store, table: &[(Value, Value)]) -> Vec<String> {
    let set = table.iter().find(|(key, _)| {
        matches!(key, Value::Text(key) if store.str(*key) == "_non_persistent_buffers_set")
    });
    let items = set.and_then(|(_, set)| store.items(*set));
    let items = items.map_or(&[][..], |(_, items)| items);
    items
        .iter()
        .filter_map(|(_, item)| name(store, *item))
        .collect()
}

/// For each object, whether it is a tensor or leads to one.
fn leading(store: &Store, root: u32) -> Vec<bool> {
    let mut leads = vec![false; store.count()];
    let mut seen = vec![false; store.count()];
    let mut stack = vec![(root, 0_usize)];
    seen[root as usize] = true;
    while let Some((node, next)) = stack.last_mut() {
        let node = *node;
        let below = match store.node(node) {
            Some(Node::Tensor(_)) => {
                leads[node as usize] = true;
                None
            }
            Some(Node::Items(_, Some(items))) => items.get(*next).map(|(_, value)| *value),
            Some(Node::Table(Some(table))) => table.get(*next).map(|(_, value)| *value),
            _ => None,
        };
        let Some(below) = below else {
            stack.pop();
            if leads[node as usize]
                && let Some((above, _)) = stack.last()
            {
                leads[*above as usize] = true;
            }
            continue;
        };
        *next += 1;
        if let Value::Node(below) = below {
            if leads[below as usize] {
                leads[node as usize] = true;
            }
            if !seen[below as usize] {
                seen[below as usize] = true;
                stack.push((below, 0));
            }
        }
    }
    leads
}
