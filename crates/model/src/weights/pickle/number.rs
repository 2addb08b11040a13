//! The types of numbers that PyTorch's tensors have.

use crate::weights::tensor_file::Float;

/// A type of numbers: a row of [`TYPES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::weights) struct Number(u8);

struct Row {
    /// The class of its storages, without `Storage`.
    storage: &'static str,
    /// The attributes of `torch` that name it.
    names: &'static [&'static str],
    /// Bytes per number.
    width: usize,
    float: Option<Float>,
}

const fn row(
    storage: &'static str,
    names: &'static [&'static str],
    width: usize,
    float: Option<Float>,
) -> Row {
    Row {
        storage,
        names,
        width,
        float,
    }
}

/// `torch/storage.py` (`_dtype_to_storage_type_map`) and the types that have no class of storages.
const TYPES: &[Row] = &[
    row("Double", &["float64", "double"], 8, Some(Float::F64)),
    row("Float", &["float32", "float"], 4, Some(Float::F32)),
    row("Half", &["float16", "half"], 2, Some(Float::F16)),
    row("BFloat16", &["bfloat16"], 2, Some(Float::Bf16)),
    row("Long", &["int64", "long"], 8, None),
    row("Int", &["int32", "int"], 4, None),
    row("Short", &["int16", "short"], 2, None),
    row("Char", &["int8"], 1, None),
    row("Byte", &["uint8"], 1, None),
    row("Bool", &["bool"], 1, None),
    row("", &["uint16"], 2, None),
    row("", &["uint32"], 4, None),
    row("", &["uint64"], 8, None),
    row("ComplexDouble", &["complex128", "cdouble"], 16, None),
    row("ComplexFloat", &["complex64", "cfloat"], 8, None),
    row("", &["complex32", "chalf"], 4, None),
    row("QInt8", &["qint8"], 1, None),
    row("QUInt8", &["quint8"], 1, None),
    row("QInt32", &["qint32"], 4, None),
    row("QUInt4x2", &["quint4x2"], 1, None),
    row("QUInt2x4", &["quint2x4"], 1, None),
    row("", &["float8_e4m3fn"], 1, None),
    row("", &["float8_e5m2"], 1, None),
    row("", &["float8_e4m3fnuz"], 1, None),
    row("", &["float8_e5m2fnuz"], 1, None),
    row("", &["float8_e8m0fnu"], 1, None),
];

impl Number {
    /// The type of the storages of a class such as `FloatStorage`.
    pub(super) fn of_storage(class: &str) -> Option<Self> {
        let name = class.strip_suffix("Storage")?;
        Self::find(|row| !name.is_empty() && row.storage == name)
    }

    /// The type that is an attribute of `torch`, such as `float32`.
    pub(super) fn of_attribute(name: &str) -> Option<Self> {
        Self::find(|row| row.names.contains(&name))
    }

    fn find(wanted: impl Fn(&Row) -> bool) -> Option<Self> {
        let index = TYPES.iter().position(wanted)?;
        u8::try_from(index).ok().map(Self)
    }

    fn row(self) -> &'static Row {
        &TYPES[usize::from(self.0)]
    }

    /// Its name in PyTorch.
    pub(in crate::weights) fn name(self) -> &'static str {
        self.row().names[0]
    }

    /// Bytes per number.
    pub(in crate::weights) fn width(self) -> usize {
        self.row().width
    }

    /// The floating-point numbers that can be read; `None` for all other types.
    pub(in crate::weights) fn float(self) -> Option<Float> {
        self.row().float
    }
}
