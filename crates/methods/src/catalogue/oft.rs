//! `OFT`, orthogonal fine-tuning (Qiu et al. 2023, arXiv:2306.07280), in the form of `OFTv2` (Qiu et al.
//! 2025, arXiv:2506.19847), as in HF PEFT: rotated inputs.

use burn::Tensor;
use burn::module::{Module, ModuleMapper, Param};
use burn::optim::GradientsParams;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::check;
use super::during_training::{DuringTraining, Moved};
use super::rotation::{Rotation, limited};
use super::spec::{AdapterMaker, Context, Learning, LearningRates, Place, Spec};
use crate::adapters::{WeightShape, start};
use crate::attach::{Made, Maker};
use crate::error::MethodError;
use crate::hf_peft::{
    BIASES_ARE_STORED, ByLayer, FOR_CONV1D, Form, HfPeft, Keys, LayerTensors, ONLY_AT_THE_START,
    Settings, Writer, is_off, not_in_hf_peft, param, rejected,
};
use crate::inspect::paths::{Field, PathStack, follow_paths};
use crate::inspect::{Layer, LayerKind, ParamInfo};
use crate::state::TrainedTensor;

/// Settings of `OFT`.
///
/// The inputs of a layer are divided into blocks of `b`, and each block is multiplied by an orthogonal
/// matrix `R`: the layer computes `W·diag(R₁, R₂, …)ᵀ·x`. Parameters per layer:
/// `groups·inputs/b · b·(b - 1)/2`, or `b·(b - 1)/2` if the blocks share their rotation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OftConfig {
    /// Size `b` of a block. In a layer whose inputs it does not divide, `b` is the nearest divisor.
    pub block_size: usize,
    /// Number of blocks per layer (and group), which then replaces the size: HF PEFT's `r`. In a layer
    /// whose inputs it does not divide, it is the nearest divisor.
    pub blocks: Option<usize>,
    /// Whether all blocks of a layer share one rotation.
    pub block_share: bool,
    /// Whether rotations stay near the identity (`COFT`): after each step the matrix `Q` of a block is
    /// shortened to the length `eps / √blocks` if it is longer.
    pub coft: bool,
    /// How far from the identity `coft` lets a layer's rotations be.
    pub eps: f64,
    /// Whether `R` is the first terms of a Neumann series, which is fast and not exactly orthogonal,
    /// instead of the exact Cayley transform, which inverts a matrix per block.
    pub cayley_neumann: bool,
    /// Number of terms of the series.
    pub neumann_terms: usize,
    /// Share of the blocks of a layer that are not rotated in a training step, in `[0, 1)`. Shared
    /// rotations are never left out. (HF PEFT 0.21.2 stores this setting and ignores it.)
    pub module_dropout: f64,
}

impl Default for OftConfig {
    fn default() -> Self {
        Self {
            block_size: 32,
            blocks: None,
            block_share: false,
            coft: false,
            eps: 6e-5,
            cayley_neumann: true,
            neumann_terms: 5,
            module_dropout: 0.0,
        }
    }
}

impl OftConfig {
    /// The size of a layer's blocks.
    fn block_size_of(&self, shape: &WeightShape) -> usize {
        match self.blocks {
            Some(blocks) => shape.inputs / nearest_divisor(shape.inputs, blocks),
            None => nearest_divisor(shape.inputs, self.block_size),
        }
    }

    /// Number of rotations of a layer whose blocks have the size `block`.
    fn rotations(&self, shape: &WeightShape, block: usize) -> usize {
        if self.block_share {
            1
        } else {
            shape.groups * shape.inputs / block
        }
    }

    fn adapter(
        &self,
        shape: WeightShape,
        block: usize,
        oft_r: Option<Param<Tensor<2>>>,
    ) -> Rotation {
        Rotation {
            oft_r,
            shape,
            block,
            limit: self.coft.then_some(self.eps),
            terms: self.cayley_neumann.then_some(self.neumann_terms),
            dropout: self.module_dropout,
        }
    }
}

impl Spec for OftConfig {
    type Adapter = Rotation;
    type Dynamics = RotationLimit;

    const PLACE: Place = Place::AnyLayer;
    const FREEZES_BASE: bool = true;
    const MERGES: bool = true;
    const NEEDS_GRADIENTS: bool = false;
    const LEARNING: Learning<Self> = Learning::InSteps(LearningRates {
        small: 0.01,
        large: 0.001,
    });
    const HF_PEFT: HfPeft<Self, Rotation> = HfPeft::Own(Form {
        peft_type: "OFT",
        keys: Keys {
            read: &[
                "r",
                "oft_block_size",
                "module_dropout",
                "coft",
                "eps",
                "block_share",
                "use_cayley_neumann",
                "num_cayley_neumann_terms",
            ],
            unused: &[
                ("fan_in_fan_out", FOR_CONV1D),
                ("bias", BIASES_ARE_STORED),
                ("init_weights", ONLY_AT_THE_START),
            ],
            rejected: &[],
        },
        write,
        read: |settings, _, _| {
            Ok(Box::new(ByLayer {
                settings: read(settings)?,
                read: read_layer,
            }))
        },
    });

    fn check(&self, _layers: &[&Layer]) -> Result<(), MethodError> {
        if self.block_size < 2 {
            return Err(check::setting("block size", self.block_size, "at least 2"));
        }
        check::at_least_one("number of blocks", self.blocks.unwrap_or(1))?;
        check::positive("eps", self.eps)?;
        if !(2..=MOST_TERMS).contains(&self.neumann_terms) {
            let terms = self.neumann_terms;
            return Err(check::setting("number of terms", terms, "from 2 to 100"));
        }
        check::dropout(self.module_dropout)
    }

    fn maker<'a>(&self, _context: &Context<'a>) -> Result<AdapterMaker<'a, Self>, MethodError> {
        Ok(Some(Box::new(OftMaker(self.clone()))))
    }

    fn dynamics(&self, _seed: u64) -> Option<RotationLimit> {
        self.coft.then_some(RotationLimit { eps: self.eps })
    }

    fn trained_beside(&self, _parameter: &ParamInfo, _adapted: &[&Layer]) -> bool {
        false
    }

    fn faster(&self) -> Option<(f64, Field<'static>)> {
        None
    }

    fn parameters_of(&self, layer: &Layer) -> usize {
        let block = self.block_size_of(&layer.shape);
        self.rotations(&layer.shape, block) * triangle(block)
    }
}

/// The most terms of a series: each is a product of matrices, and in a series that converges the last
/// of so many is far below what a number can hold.
const MOST_TERMS: usize = 100;

/// The divisor of `size` that is nearest to `wanted`, the lower one of two (HF PEFT's
/// `adjust_oft_parameters`).
fn nearest_divisor(size: usize, wanted: usize) -> usize {
    if wanted >= size {
        return size;
    }
    let divides = |divisor: &usize| size.is_multiple_of(*divisor);
    let lower = (1..=wanted).rev().find(divides).unwrap_or(1);
    let higher = (wanted..=size).find(divides).unwrap_or(size);
    if wanted - lower <= higher - wanted {
        lower
    } else {
        higher
    }
}

/// Entries above the diagonal of a square matrix.
fn triangle(side: usize) -> usize {
    side * (side - 1) / 2
}

struct OftMaker(OftConfig);

impl Maker<Rotation> for OftMaker {
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made<Rotation> {
        let block = self.0.block_size_of(&layer.shape);
        let rotations = self.0.rotations(&layer.shape, block);
        let zeros = || start::full(0.0, [rotations, triangle(block)], &base.device());
        let oft_r = (block > 1).then(zeros);
        Made::from(self.0.adapter(layer.shape, block, oft_r))
    }
}

/// `COFT`: keeps rotations near the identity.
#[derive(Debug, Clone)]
pub struct RotationLimit {
    eps: f64,
}

impl DuringTraining for RotationLimit {
    fn start(&mut self, _total_steps: usize) {}

    fn state<M: Module>(&self, _model: &M) -> Vec<TrainedTensor> {
        Vec::new()
    }

    fn restore<M: Module>(
        &mut self,
        _model: &M,
        _state: Vec<TrainedTensor>,
    ) -> Result<(), MethodError> {
        Ok(())
    }

    fn penalty<M: Module>(&self, _model: &M) -> Option<Tensor<1>> {
        None
    }

    fn after_backward<M: Module>(
        &mut self,
        _model: &M,
        gradients: GradientsParams,
    ) -> GradientsParams {
        gradients
    }

    /// The mean of matrices within the limit is within it.
    fn restrict<M: Module>(&self, model: M) -> M {
        model
    }

    /// Shortens the matrices that an optimiser step made too long; the optimiser forgets nothing.
    fn after_step<M: Module>(&mut self, _step: usize, model: M) -> (M, Vec<Moved>) {
        let mut shorten = Shorten {
            stack: PathStack::default(),
            eps: self.eps,
        };
        (model.map(&mut shorten), Vec::new())
    }
}

struct Shorten {
    stack: PathStack,
    eps: f64,
}

impl ModuleMapper for Shorten {
    follow_paths!();

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.stack.field() != Rotation::OFT_R {
            return param;
        }
        let eps = self.eps;
        param.map(|entries| {
            let trains = entries.is_require_grad();
            limited(entries.detach(), eps)
                .detach()
                .set_require_grad(trains)
        })
    }
}

/// The name of the entries of `Q` in HF PEFT's files.
const OFT_R_WEIGHT: &str = "oft_R.weight";

fn write(config: &OftConfig, to: &mut Writer<'_>) -> Result<(), MethodError> {
    for (_, layer) in &to.layers {
        if let Some(reason) = not_supported(layer) {
            return Err(not_in_hf_peft(layer, reason));
        }
    }
    to.copy_as(Rotation::OFT_R, OFT_R_WEIGHT, |layer| {
        let block = config.block_size_of(&layer.shape);
        vec![config.rotations(&layer.shape, block), triangle(block)]
    });
    let block_size = match config.blocks {
        Some(_) => 0,
        None => config.block_size,
    };
    to.insert(json!({
        "peft_type": "OFT",
        // Before this version the series had other terms.
        "peft_version": "0.21.2",
        "r": config.blocks.unwrap_or(0),
        "oft_block_size": block_size,
        "block_share": config.block_share,
        "coft": config.coft,
        "eps": config.eps,
        "use_cayley_neumann": config.cayley_neumann,
        "num_cayley_neumann_terms": config.neumann_terms,
        "module_dropout": config.module_dropout,
        "bias": "none",
        "fan_in_fan_out": false,
    }));
    Ok(())
}

/// Why HF PEFT's `OFT` of a layer is not a change of its weight.
fn not_supported(layer: &Layer) -> Option<&'static str> {
    let LayerKind::Conv2d {
        groups,
        kernel,
        dilation,
    } = layer.kind
    else {
        return None;
    };
    if kernel != [1, 1] {
        return Some(
            "HF PEFT's OFT of a kernel larger than 1×1 adds up overlapping patches, which no change \
             of its weight can do",
        );
    }
    if groups > 1 {
        return Some("HF PEFT's OFT does not support groups");
    }
    (dilation != [1, 1]).then_some("HF PEFT's OFT does not support dilation")
}

fn read(settings: &Settings<'_>) -> Result<OftConfig, MethodError> {
    let defaults = OftConfig::default();
    // 0 stands for none.
    let count = |name: &str| match settings.get(name) {
        Some(value) if is_off(value) => Ok(None),
        _ => settings.or(name, Settings::count),
    };
    if settings.get("oft_block_size").is_none() {
        return Err(rejected(
            "`oft_block_size` is missing: the adapter was made by PEFT 0.14 or older, whose OFT              computed something else"
                .to_owned(),
        ));
    }
    let (block_size, blocks) = (count("oft_block_size")?, count("r")?);
    if block_size.is_some() == blocks.is_some() {
        return Err(rejected(
            "either `r` or `oft_block_size` must be 0, and not both".to_owned(),
        ));
    }
    let series = match settings.get("use_cayley_neumann") {
        None => defaults.cayley_neumann,
        Some(_) => settings.flag("use_cayley_neumann")?,
    };
    Ok(OftConfig {
        block_size: block_size.unwrap_or(defaults.block_size),
        blocks,
        block_share: settings.flag("block_share")?,
        coft: settings.flag("coft")?,
        eps: settings
            .or("eps", Settings::number)?
            .unwrap_or(defaults.eps),
        cayley_neumann: series,
        neumann_terms: count("num_cayley_neumann_terms")?.unwrap_or(defaults.neumann_terms),
        module_dropout: settings
            .or("module_dropout", Settings::number)?
            .unwrap_or(0.0),
    })
}

fn read_layer(
    config: &OftConfig,
    from: &mut LayerTensors<'_>,
) -> Result<Option<Rotation>, MethodError> {
    let shape = from.layer.shape;
    let block = config.block_size_of(&shape);
    let rotations = config.rotations(&shape, block);
    let Some(entries) = from.matrix(OFT_R_WEIGHT, Some(rotations), Some(triangle(block)))? else {
        return Ok(None);
    };
    if let Some(reason) = not_supported(from.layer) {
        return Err(rejected(format!("`{}`: {reason}", from.name)));
    }
    let oft_r = (block > 1).then(|| {
        let oft_r = param(entries, from.device);
        if config.coft {
            // HF PEFT limits rotations when it uses them, so the stored ones may be too long.
            let limited = |entries: Tensor<2>| limited(entries.detach(), config.eps).detach();
            oft_r.map(|entries| limited(entries).set_require_grad(true))
        } else {
            oft_r
        }
    });
    Ok(Some(config.adapter(shape, block, oft_r)))
}

#[cfg(test)]
mod tests {
    use super::nearest_divisor;

    #[test]
    fn sizes_are_adjusted_as_in_hf_peft() {
        // peft.tuners.oft.layer.OFTLayer.adjust_oft_parameters gives these sizes.
        let found = [
            (36, 32),
            (36, 4),
            (36, 11),
            (36, 15),
            (9, 2),
            (7, 32),
            (27, 8),
            (20, 3),
            (64, 64),
        ]
        .map(|(size, wanted)| nearest_divisor(size, wanted));
        assert_eq!(found, [36, 4, 12, 12, 1, 7, 9, 2, 64]);
    }
}
