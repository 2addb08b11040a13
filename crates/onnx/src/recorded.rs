//! A forward pass for any number of images, from what it does for two and for three of them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use burn::backend::ir::{
    BaseOperationIr, IrVisitorMut, OperationIr, TensorId, TensorIr, TensorStatus,
};
use burn::tensor::{Shape, Slice, TensorData};

use crate::capture::Captured;
use crate::error::OnnxError;

/// The numbers of images for which the passes are recorded.
pub(crate) const BATCHES: [usize; 2] = [2, 3];

/// The length of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dim {
    /// Always the same.
    Fixed(usize),
    /// So many per image.
    PerImage(usize),
}

/// A forward pass. Tensors have consecutive numbers; shapes within the operations are those for
/// [`BATCHES`]`[0]` images.
pub(crate) struct Recorded {
    pub(crate) operations: Vec<OperationIr>,
    /// The results of operations that are the same to the last number however many images there are.
    pub(crate) fixed: HashSet<TensorId>,
    pub(crate) shapes: HashMap<TensorId, Vec<Dim>>,
    pub(crate) values: BTreeMap<TensorId, TensorData>,
    pub(crate) names: HashMap<TensorId, String>,
    pub(crate) input: TensorId,
    pub(crate) output: TensorId,
}

/// What is retained of the second capture: everything but the values themselves.
pub(crate) struct Outline {
    operations: Vec<OperationIr>,
    values: BTreeMap<TensorId, u64>,
    ids: Vec<TensorId>,
    bounds: [TensorId; 2],
}

impl Outline {
    pub(crate) fn of(captured: Captured) -> Self {
        let ids = ids(&captured);
        let bounds = [captured.input, captured.output];
        let values = captured.values.iter();
        Self {
            ids,
            bounds,
            values: values.map(|(id, data)| (*id, digest(data))).collect(),
            operations: captured.operations,
        }
    }
}

impl Recorded {
    /// Joins the capture for [`BATCHES`]`[0]` images and the outline of that for [`BATCHES`]`[1]`.
    pub(crate) fn join(first: Captured, second: Outline) -> Result<Self, OnnxError> {
        let numbers = Numbers::of(&ids(&first));
        let others = Numbers::of(&second.ids);
        let bounds = [first.input, first.output].map(|id| numbers.of_id(id));
        let differs = |what: &str| OnnxError::BatchDependent {
            what: what.to_owned(),
        };
        if first.operations.len() != second.operations.len()
            || numbers.0.len() != others.0.len()
            || bounds != second.bounds.map(|id| others.of_id(id))
        {
            return Err(differs(
                "the number of its operations depends on the number of images",
            ));
        }
        let mut shapes = HashMap::new();
        let mut fixed = HashSet::new();
        let mut operations = Vec::new();
        for (mut one, mut other) in first.operations.into_iter().zip(second.operations) {
            one.visit_mut(&mut Renumber(&numbers));
            other.visit_mut(&mut Renumber(&others));
            if one == other {
                fixed.extend(one.outputs().map(|out| out.id));
            }
            for (a, b) in one.nodes().into_iter().zip(other.nodes()) {
                let dims = dims(a, b).ok_or_else(|| {
                    differs(&format!(
                        "{} has shapes {:?} and {:?} for {} and {} images",
                        name(&one),
                        a.shape.as_slice(),
                        b.shape.as_slice(),
                        BATCHES[0],
                        BATCHES[1]
                    ))
                })?;
                shapes.insert(a.id, dims);
            }
            canonical(&mut one);
            canonical(&mut other);
            if !equal(&one, &other) {
                return Err(differs(&format!(
                    "the settings of {} depend on the number of images",
                    name(&one)
                )));
            }
            operations.push(one);
        }
        let digests: HashMap<TensorId, u64> = second
            .values
            .into_iter()
            .map(|(id, digest)| (others.of_id(id), digest))
            .collect();
        let mut values = BTreeMap::new();
        for (id, data) in first.values {
            let id = numbers.of_id(id);
            if digests.get(&id) != Some(&digest(&data)) {
                return Err(differs("a constant depends on the number of images"));
            }
            let lengths = data.shape().iter().map(|length| Dim::Fixed(*length));
            shapes.insert(id, lengths.collect());
            values.insert(id, data);
        }
        let names = first.names.into_iter();
        Ok(Self {
            operations,
            fixed,
            shapes,
            values,
            names: names.map(|(id, name)| (numbers.of_id(id), name)).collect(),
            input: bounds[0],
            output: bounds[1],
        })
    }

    /// The lengths of a tensor's axes.
    pub(crate) fn dims(&self, tensor: &TensorIr) -> &[Dim] {
        self.shapes.get(&tensor.id).map_or(&[], Vec::as_slice)
    }
}

/// The name of an operation, without its tensors.
pub(crate) fn name(operation: &OperationIr) -> String {
    // `BaseFloat(Reshape(ShapeOpIr { …`, `NumericFloat(F32, Add(BinaryOpIr { …`.
    let text = format!("{operation:?}");
    let end = text
        .find("OpIr")
        .or_else(|| text.find('{'))
        .unwrap_or(text.len());
    let mut words = text[..end].rsplit(['(', ' ', ',']);
    let kind = text.split('(').next().unwrap_or_default().to_owned();
    words.next();
    let variant = words.find(|word| !word.is_empty()).unwrap_or_default();
    if variant.is_empty() || variant == kind {
        kind
    } else {
        format!("{variant} ({kind})")
    }
}

/// All tensors of a capture, in the order in which they were made.
fn ids(captured: &Captured) -> Vec<TensorId> {
    let nodes = captured.operations.iter().flat_map(OperationIr::nodes);
    let mut ids: BTreeSet<TensorId> = nodes.map(|tensor| tensor.id).collect();
    ids.extend(captured.values.keys());
    ids.extend([captured.input, captured.output]);
    ids.into_iter().collect()
}

/// Consecutive numbers for the tensors of a capture. Burn's numbers count all captures of the process.
struct Numbers(HashMap<TensorId, TensorId>);

impl Numbers {
    fn of(ids: &[TensorId]) -> Self {
        let numbers = (0..).map(TensorId::new);
        Self(ids.iter().copied().zip(numbers).collect())
    }

    fn of_id(&self, id: TensorId) -> TensorId {
        self.0.get(&id).copied().unwrap_or(id)
    }
}

struct Renumber<'a>(&'a Numbers);

impl IrVisitorMut for Renumber<'_> {
    fn visit_tensor_mut(&mut self, tensor: &mut TensorIr) {
        tensor.id = self.0.of_id(tensor.id);
        tensor.status = TensorStatus::ReadOnly;
    }
}

/// Leaves out the shapes, which are compared by [`dims`].
struct WithoutShapes;

impl IrVisitorMut for WithoutShapes {
    fn visit_tensor_mut(&mut self, tensor: &mut TensorIr) {
        tensor.shape = Shape::new([]);
    }
}

fn equal(one: &OperationIr, other: &OperationIr) -> bool {
    let stripped = |operation: &OperationIr| {
        let mut operation = operation.clone();
        operation.visit_mut(&mut WithoutShapes);
        if let OperationIr::BaseFloat(base)
        | OperationIr::BaseInt(base)
        | OperationIr::BaseBool(base) = &mut operation
            && let BaseOperationIr::RepeatDim(repeat) = base
        {
            // Follows from the shapes.
            repeat.times = 0;
        }
        operation
    };
    stripped(one) == stripped(other)
}

/// Writes a slice of a whole axis as one without an end.
fn canonical(operation: &mut OperationIr) {
    let (OperationIr::BaseFloat(base) | OperationIr::BaseInt(base) | OperationIr::BaseBool(base)) =
        operation
    else {
        return;
    };
    if let BaseOperationIr::Slice(slice) = base {
        let lengths = slice.tensor.shape.as_slice();
        for (range, length) in slice.ranges.iter_mut().zip(lengths) {
            let length = isize::try_from(*length).unwrap_or(isize::MAX);
            let whole = range.end.is_none_or(|end| end == length);
            if range.step == 1 && range.start == 0 && whole {
                *range = Slice::new(0, None, 1);
            }
        }
    }
}

/// The lengths of the axes of a tensor, from those in both captures.
fn dims(one: &TensorIr, other: &TensorIr) -> Option<Vec<Dim>> {
    let (one, other) = (one.shape.as_slice(), other.shape.as_slice());
    if one.len() != other.len() {
        return None;
    }
    let pairs = one.iter().zip(other);
    pairs
        .map(|(a, b)| {
            if a == b {
                return Some(Dim::Fixed(*a));
            }
            let per_image = a / BATCHES[0];
            let linear = [*a, *b] == BATCHES.map(|images| images * per_image);
            linear.then_some(Dim::PerImage(per_image))
        })
        .collect()
}

fn digest(data: &TensorData) -> u64 {
    let mut hasher = DefaultHasher::new();
    data.shape().as_slice().hash(&mut hasher);
    data.dtype().hash(&mut hasher);
    data.as_bytes().hash(&mut hasher);
    hasher.finish()
}
