//! Joins what a file has of the parts of a layer.

use std::ops::Range;

use burn::Tensor;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use finetune_kernels::Floats;

use super::factors::{self, Pairs};
use super::opened::{InParts, Opened};
use crate::error::MethodError;
use crate::hf_peft::names::Names;
use crate::hf_peft::parts::{parts, ranges};
use crate::hf_peft::settings::rejected;
use crate::inspect::paths::burn_names::LINEAR;
use crate::inspect::{Layer, LayerKind, ParamInfo};
use crate::state::{Matrix, floats};

/// Joins adapters of the parts of a layer, and parts that were saved whole.
///
/// What an adapter leaves out stays as in the model.
///
/// # Errors
///
/// [`MethodError::HfPeftConfig`] if the adapters of the parts cannot be one of the layer, and
/// [`MethodError::OtherBase`] if a tensor does not fit.
pub(in crate::hf_peft) fn join<M: Module>(
    mut to: Opened<'_>,
    model: &M,
    (layers, listed): (&[Layer], &[ParamInfo]),
    names: Names<'_>,
) -> Result<(), MethodError> {
    for layer in layers {
        let Ok(name) = names.layer(&layer.path) else {
            continue;
        };
        let Some(parts) = named_parts(&name, layer.shape.outputs) else {
            continue;
        };
        let mut has = parts.iter().map(|(part, _)| to.file.has_adapter(part));
        if layer.kind == LayerKind::Linear && has.any(|has| has) {
            let whole = InParts { layer, name, parts };
            to.adapter(&whole, || base(model, layer.weight, true))?;
        }
    }
    for param in listed.iter().filter(|param| !param.in_adapter()) {
        to.whole(param, names, || {
            let is_weight = param.owner == LINEAR && param.shape.len() == 2;
            base(model, param.id, is_weight)
        })?;
    }
    Ok(())
}

/// The parts of a name and their rows; `None` if it has one, or not all are stored.
fn named_parts(name: &str, rows: usize) -> Option<Vec<(String, Range<usize>)>> {
    let parts = parts(name);
    if parts.len() < 2 {
        return None;
    }
    let ranges = ranges(&parts, rows);
    let names = parts.into_iter().map(|part| part.name);
    names
        .zip(ranges)
        .map(|(name, rows)| Some((name?.into_owned(), rows)))
        .collect()
}

impl Opened<'_> {
    fn adapter(
        &mut self,
        whole: &InParts<'_>,
        base: impl Fn() -> Option<Matrix>,
    ) -> Result<(), MethodError> {
        let kind = self.settings().text("peft_type")?;
        match kind.as_str() {
            "LORA" => factors::join(self, whole, &Pairs::LORA, base),
            "LOHA" => factors::join(self, whole, &Pairs::LOHA, base),
            "IA3" => self.scales(whole),
            "ADALORA" => self.alike(whole, &["lora_A", "lora_E"], &["lora_B"]),
            "OFT" => self.alike(whole, &["oft_R.weight"], &[]),
            _ => Err(apart(whole, &kind)),
        }
    }

    /// Factors of outputs: 1 where a part has none.
    fn scales(&mut self, whole: &InParts<'_>) -> Result<(), MethodError> {
        let outputs = whole.layer.shape.outputs;
        let mut factors = vec![1.0; outputs];
        for (part, rows) in &whole.parts {
            let mut tensors = self.tensors(part, whole.layer);
            let Some(own) = tensors.matrix("ia3_l", None, None)? else {
                continue;
            };
            if (own.rows, own.columns) != (rows.len(), 1) {
                return Err(rejected(format!(
                    "`{part}`: its (IA)³ scales the inputs, which are those of all of `{}` here",
                    whole.layer.path
                )));
            }
            factors[rows.clone()].copy_from_slice(&own.values);
        }
        let factors = Matrix::of(&[outputs], factors);
        self.file.put(&whole.name, "ia3_l", factors);
        Ok(())
    }

    /// Adapters of all parts that differ in nothing but their rows, as they were divided here.
    fn alike(
        &mut self,
        whole: &InParts<'_>,
        same: &[&str],
        by_rows: &[&str],
    ) -> Result<(), MethodError> {
        let kind = self.settings().text("peft_type")?;
        for name in same {
            let mut first: Option<Matrix> = None;
            for (part, _) in &whole.parts {
                let own = self.tensors(part, whole.layer).matrix(name, None, None)?;
                match (&first, own) {
                    (None, Some(own)) => first = Some(own),
                    (Some(first), Some(own)) if *first == own => {}
                    _ => return Err(apart(whole, &kind)),
                }
            }
            if let Some(first) = first {
                self.file.put(&whole.name, name, first);
            }
        }
        for name in by_rows {
            let mut all = Vec::new();
            for (part, rows) in &whole.parts {
                let mut tensors = self.tensors(part, whole.layer);
                all.push(tensors.second(name, Some(rows.len()), None)?);
            }
            let Some(all) = Matrix::stacked(&all) else {
                return Err(apart(whole, &kind));
            };
            self.file.put(&whole.name, name, all);
        }
        Ok(())
    }

    /// A tensor of the model itself.
    fn whole(
        &mut self,
        param: &ParamInfo,
        names: Names<'_>,
        base: impl Fn() -> Option<Matrix>,
    ) -> Result<(), MethodError> {
        let name = names.of(&param.path);
        let is_weight = param.owner == LINEAR && param.shape.len() == 2;
        let rows = param.shape.get(usize::from(is_weight)).copied();
        let Some(parts) = named_parts(&name, rows.unwrap_or(1)) else {
            return Ok(());
        };
        let stored = |(part, rows): (String, _)| Some((self.file.take_saved(&part)?, rows));
        let stored: Vec<_> = parts.into_iter().filter_map(stored).collect();
        if stored.is_empty() {
            return Ok(());
        }
        let Some(mut all) = base() else {
            return Ok(());
        };
        for (tensor, rows) in stored {
            let path = tensor.path.clone();
            let (shape, values) = floats(tensor)?;
            let own = Matrix::of(&shape, values);
            if (own.rows, own.columns) != (rows.len(), all.columns) {
                return Err(MethodError::OtherBase {
                    difference: format!(
                        "its `{path}` is of shape {shape:?}, the model's of {} × {}",
                        rows.len(),
                        all.columns
                    ),
                });
            }
            all.put((rows.start, 0), &own, 1.0);
        }
        let mut shape = param.shape.clone();
        if is_weight {
            shape.reverse();
        }
        self.file.put_shaped(&name, all, shape);
        Ok(())
    }
}

/// The error of adapters that cannot be one.
fn apart(whole: &InParts<'_>, kind: &str) -> MethodError {
    rejected(format!(
        "its {kind} is on parts of `{}`, which are one layer here, and is not one of that layer",
        whole.layer.path
    ))
}

/// The rows of a tensor of the model, for the weight of a Linear layer those of `PyTorch`.
fn base<M: Module>(model: &M, id: ParamId, is_weight: bool) -> Option<Matrix> {
    struct Find {
        id: ParamId,
        found: Option<Matrix>,
    }

    impl ModuleVisitor for Find {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.id == self.id {
                let value = param.val();
                let shape = value.dims();
                self.found = Some(Matrix::of(&shape, Floats::of(value).into_vec()));
            }
        }
    }

    let mut find = Find { id, found: None };
    model.visit(&mut find);
    let found = find.found?;
    Some(if is_weight { found.transposed() } else { found })
}
