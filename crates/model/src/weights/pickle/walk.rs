//! From the objects of a pickle to named tensors.

use super::machine::{Pickle, name};
use super::value::{Node, Store, Tensor, Value};

/// The most tensors of a file.
pub(in crate::weights) const MOST_TENSORS: usize = 1 << 16;

/// The most bytes of all names together.
const MOST_NAMES: usize = 12 << 20;

/// The most objects that are visited, each as often as there are ways to it.
const MOST_VISITS: usize = 1 << 22;

/// The tables of a `torch.nn.Module`, whose names do not belong to the names of its tensors.
const MODULE: [&str; 3] = ["_parameters", "_buffers", "_modules"];

/// An object on the way from the root to a tensor.
struct Step {
    node: u32,
    /// What is below it and has not been visited: names and objects, in reverse.
    below: Vec<(Option<String>, u32)>,
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
    let (mut found, mut names, mut visits) = (0, 0, 0);
    let mut path = String::new();
    let mut steps = vec![Step {
        node: root,
        below: below(store, root, &leads),
        named: 0,
    }];
    on_path[root as usize] = true;
    if let Some(Node::Tensor(tensor)) = store.node(root) {
        return each(String::new(), tensor);
    }
    while let Some(step) = steps.last_mut() {
        let Some((name, node)) = step.below.pop() else {
            on_path[step.node as usize] = false;
            steps.pop();
            continue;
        };
        // A circle leads to no new tensor.
        if on_path[node as usize] {
            continue;
        }
        visits += 1;
        path.truncate(step.named);
        if let Some(name) = name {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&name);
        }
        if let Some(Node::Tensor(tensor)) = store.node(node) {
            found += 1;
            names += path.len();
            each(path.clone(), tensor)?;
        } else {
            on_path[node as usize] = true;
            steps.push(Step {
                node,
                below: below(store, node, &leads),
                named: path.len(),
            });
        }
        if found > MOST_TENSORS || names > MOST_NAMES || visits > MOST_VISITS {
            return Err(format!(
                "it has more than {MOST_TENSORS} tensors, or their names are too long; save the \
                 weights alone with torch.save(model.state_dict(), FILE)"
            ));
        }
    }
    Ok(())
}

/// What is directly below an object and leads to a tensor, in reverse.
fn below(store: &Store, node: u32, leads: &[bool]) -> Vec<(Option<String>, u32)> {
    let mut found = Vec::new();
    let mut add = |name: Option<String>, value: Value| {
        if let Value::Node(node) = value
            && leads.get(node as usize) == Some(&true)
        {
            found.push((name, node));
        }
    };
    let value = Value::Node(node);
    if let Some((_, items)) = store.items(value) {
        for (index, value) in items {
            add(Some(index.to_string()), *value);
        }
    } else if let Some(table) = store.table(value) {
        match module(store, table) {
            Some(tables) => {
                let fleeting = fleeting(store, table);
                for (title, entries) in MODULE.iter().zip(tables) {
                    for (key, value) in entries {
                        let key = name(store, *key);
                        let omitted = *title == "_buffers"
                            && key.as_ref().is_some_and(|key| fleeting.contains(key));
                        if !omitted {
                            add(key, *value);
                        }
                    }
                }
            }
            None => {
                for (key, value) in table {
                    // A key that is neither a text nor an integer.
                    let key = name(store, *key).unwrap_or_else(|| "…".to_owned());
                    add(Some(key), *value);
                }
            }
        }
    }
    found.reverse();
    found
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
