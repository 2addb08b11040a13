//! The classes and functions that a pickle names.

use super::number::Number;
use super::value::Class;

/// The class or function of a module.
pub(super) fn class(module: &str, name: &str) -> Class {
    match (module, name) {
        ("collections", "OrderedDict") => Class::OrderedDict,
        // Python 2 calls the module `__builtin__`.
        ("builtins" | "__builtin__", "set" | "frozenset" | "list" | "tuple") => Class::Set,
        ("torch", "Size") => Class::Size,
        ("torch._utils", "_rebuild_tensor") => Class::RebuildTensor(1),
        ("torch._utils", "_rebuild_tensor_v2") => Class::RebuildTensor(2),
        ("torch._utils", "_rebuild_tensor_v3") => Class::RebuildTensor(3),
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
            Class::RebuildParameter
        }
        ("torch._tensor", "_rebuild_from_type_v2") => Class::RebuildFromType,
        (_, "UntypedStorage") => Class::UntypedStorage,
        ("torch", _) if Number::of_attribute(name).is_some() => {
            Number::of_attribute(name).map_or(Class::Unknown, Class::Type)
        }
        _ => Number::of_storage(name).map_or(Class::Unknown, Class::Storage),
    }
}
