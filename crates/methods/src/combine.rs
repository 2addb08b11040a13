//! Combining several adapters into one, as HF PEFT's `add_weighted_adapter` does.

use std::collections::{BTreeSet, HashMap};

use burn::Tensor;
use burn::module::{Module, ModuleDisplay, ParamGroup, ParamId};
use burn::nn::DropoutConfig;
use nalgebra::DMatrix;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::adapters::split::{factors, principal};
use crate::adapters::{Geometry, LoraInit, LowRank, start};
use crate::attach::{Made, Maker, attach_adapters};
use crate::catalogue::{Adapter, Bias, LoraConfig, Method};
use crate::error::MethodError;
use crate::inspect::{Layer, layers, parameters};
use crate::random::rng;
use crate::state::{Matrix, Tensors, TrainedTensor, Values, put, settle};

/// How the changes `ΔWᵢ = sᵢ·BᵢAᵢ` of several adapters become one, with weights `wᵢ`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Combination {
    /// `A = Σ ±√|wᵢsᵢ|·Aᵢ` and `B = Σ √|wᵢsᵢ|·Bᵢ` for adapters of the same rank. This is not the sum of
    /// the changes.
    Linear,
    /// The factors concatenated: exactly `Σ wᵢ·ΔWᵢ`, with the sum of the ranks.
    Cat,
    /// The best approximation of `Σ wᵢ·ΔWᵢ` by a change of lower rank, from its singular values.
    Svd {
        /// The rank; if `None`, the largest rank of the adapters.
        rank: Option<usize>,
    },
    /// Like [`Linear`](Self::Linear), but of each factor only the largest entries whose signs agree
    /// (Yadav et al. 2023, "TIES-Merging", arXiv:2306.01708, algorithm 1).
    Ties {
        /// Share of the entries that are used, in `(0, 1]`.
        density: f64,
    },
    /// Like [`Linear`](Self::Linear), but of each factor only random entries, rescaled (Yu et al. 2024,
    /// "`DARE`", arXiv:2311.03099, equation 3).
    Dare {
        /// Share of the entries that are used, in `(0, 1]`.
        density: f64,
        /// Seed of the choice.
        seed: u64,
    },
}

/// An adapter on its base: its name, model, method and weight.
type Part<'a, M> = (&'a str, &'a M, &'a Method, f64);

/// The base with the combined adapter, and the method that can go on training it.
pub(crate) fn combine<M: Module + ModuleDisplay>(
    base: &M,
    parts: &[Part<'_, M>],
    how: Combination,
) -> Result<(M, Method), MethodError> {
    let first = parts
        .first()
        .ok_or_else(|| cannot("", "", "there is none"))?;
    check(first.0, parts, how)?;
    let mut sources = Vec::new();
    for (name, model, method, weight) in parts {
        let Method::Lora(config) = method else {
            return Err(cannot(first.0, name, "only LoRA adapters can be"));
        };
        if config.dora || config.init != LoraInit::Kaiming {
            let reason = "DoRA's lengths and the bases of PiSSA and OLoRA do not add up";
            return Err(cannot(first.0, name, reason));
        }
        settle(*model);
        let listed = parameters(*model);
        sources.push(Source {
            name,
            config,
            weight: *weight,
            tensors: Tensors::read(*model, &listed),
            changes: listed
                .iter()
                .filter(|param| param.changes && !param.in_adapter())
                .map(|param| param.path.clone())
                .collect(),
        });
    }
    let device = base.devices().into_iter().next().unwrap_or_default();
    let all = layers(base);
    let mut random = match how {
        Combination::Dare { seed, .. } => rng(seed, 8),
        _ => rng(0, 8),
    };
    let (mut made, mut geometries) = (HashMap::new(), Vec::new());
    for layer in &all {
        let own: Vec<Own<'_>> = sources
            .iter()
            .filter_map(|source| source.own(layer))
            .collect();
        if own.is_empty() {
            continue;
        }
        let Pair { a, b } = join(layer, &own, how, &mut random)?;
        let geometry = Geometry {
            weight: layer.shape,
            rank: b.columns,
            scale: 1.0,
            shared: false,
            divisor: 1.0,
            dense_gradient: false,
        };
        geometries.push((layer.path.clone(), geometry));
        let a = start::param(a.values, [a.rows, a.columns], &device);
        let b = start::param(b.values, [b.rows, b.columns], &device);
        let adapter = LowRank {
            dropout: DropoutConfig::new(sources[0].config.dropout).init(),
            ..LowRank::plain(a, b, geometry)
        };
        made.insert(layer.weight, adapter);
    }
    let selected: Vec<&Layer> = all
        .iter()
        .filter(|layer| made.contains_key(&layer.weight))
        .collect();
    let model = attach_adapters(base.clone().freeze(), &selected, &mut Combined(made));
    let changes: BTreeSet<&String> = sources.iter().flat_map(|source| &source.changes).collect();
    let trained = parameters(base)
        .into_iter()
        .filter(|param| changes.contains(&param.path) && !param.buffer)
        .map(|param| param.id);
    let model = model.unfreeze_group(ParamGroup::from_ids(trained.collect::<Vec<_>>()));
    let model = put(model, average(&sources, &changes));
    let rank = geometries.first().map_or(1, |(_, geometry)| geometry.rank);
    #[allow(clippy::cast_precision_loss)]
    let config = LoraConfig {
        rank,
        alpha: rank as f64,
        rslora: false,
        bias: Bias::None,
        ..sources[0].config.clone()
    };
    Ok((model, Method::Lora(config.with_ranks(&geometries))))
}

/// Hands out the combined adapters, by the identities of their layers' weights.
struct Combined(HashMap<ParamId, LowRank>);

impl Maker<Adapter> for Combined {
    fn make(&mut self, layer: &Layer, _base: Tensor<2>) -> Made<Adapter> {
        let Some(adapter) = self.0.remove(&layer.weight) else {
            unreachable!("only layers that have a combined adapter are selected");
        };
        Made::from(Adapter::LowRank(adapter))
    }
}

fn cannot(first: &str, second: &str, reason: &str) -> MethodError {
    MethodError::Combine {
        first: first.to_owned(),
        second: second.to_owned(),
        reason: reason.to_owned(),
    }
}

fn check<M>(first: &str, parts: &[Part<'_, M>], how: Combination) -> Result<(), MethodError> {
    for (name, _, _, weight) in parts {
        if !weight.is_finite() {
            return Err(cannot(first, name, "its weight is not a finite number"));
        }
    }
    match how {
        Combination::Ties { density } | Combination::Dare { density, .. }
            if !(density > 0.0 && density <= 1.0) =>
        {
            Err(cannot(
                first,
                first,
                "the density must be above 0 and at most 1",
            ))
        }
        Combination::Svd { rank: Some(0) } => {
            Err(cannot(first, first, "the rank must be at least 1"))
        }
        _ => Ok(()),
    }
}

struct Source<'a> {
    name: &'a str,
    config: &'a LoraConfig,
    weight: f64,
    tensors: Tensors,
    /// Paths of the model's own parameters that it changed.
    changes: Vec<String>,
}

impl Source<'_> {
    /// Its factors for a layer.
    fn own(&self, layer: &Layer) -> Option<Own<'_>> {
        let factors = self.tensors.low_rank(layer)?;
        let rank = factors.a.rows / layer.shape.groups;
        let b = factors
            .b
            .unwrap_or_else(|| Matrix::identity(layer.shape.outputs, rank));
        let scale = self.config.scale(layer, self.config.rank_of(layer).0);
        #[allow(clippy::cast_possible_truncation)]
        Some(Own {
            name: self.name,
            weight: (self.weight * scale) as f32,
            pair: Pair { a: factors.a, b },
        })
    }
}

/// `A` `[groups · rank, inputs]` and `B` `[outputs, rank]`.
struct Pair {
    a: Matrix,
    b: Matrix,
}

/// One adapter's factors of a layer, and its weight times its scale.
struct Own<'a> {
    name: &'a str,
    weight: f32,
    pair: Pair,
}

fn join(
    layer: &Layer,
    own: &[Own<'_>],
    how: Combination,
    random: &mut impl RngExt,
) -> Result<Pair, MethodError> {
    let groups = layer.shape.groups;
    let rank = own[0].pair.b.columns;
    match how {
        Combination::Cat => return Ok(cat(groups, own)),
        Combination::Svd { rank } => return Ok(svd(layer, own, rank)),
        _ => {}
    }
    if let Some(other) = own.iter().find(|other| other.pair.b.columns != rank) {
        let reason = format!(
            "their ranks on `{}` are {rank} and {}; use cat or svd",
            layer.path, other.pair.b.columns
        );
        return Err(cannot(own[0].name, other.name, &reason));
    }
    // Only one side gets the sign, since two signs would cancel.
    let of_a: Vec<f32> = own
        .iter()
        .map(|own| own.weight.abs().sqrt() * own.weight.signum())
        .collect();
    let of_b: Vec<f32> = own.iter().map(|own| own.weight.abs().sqrt()).collect();
    let mut side = |pick: fn(&Pair) -> &Matrix, weights: &[f32]| {
        let matrices: Vec<&Matrix> = own.iter().map(|own| pick(&own.pair)).collect();
        let lists: Vec<Vec<f32>> = matrices
            .iter()
            .map(|matrix| matrix.values.clone())
            .collect();
        let values = match how {
            Combination::Ties { density } => ties(&lists, weights, density),
            Combination::Dare { density, .. } => {
                let lists = lists.into_iter().map(|list| dropped(list, density, random));
                sum(&lists.collect::<Vec<_>>(), weights)
            }
            _ => sum(&lists, weights),
        };
        Matrix {
            values,
            ..matrices[0].clone()
        }
    };
    Ok(Pair {
        a: side(|pair| &pair.a, &of_a),
        b: side(|pair| &pair.b, &of_b),
    })
}

/// `Σ wᵢ·tᵢ`.
fn sum(lists: &[Vec<f32>], weights: &[f32]) -> Vec<f32> {
    (0..lists[0].len())
        .map(|i| {
            lists
                .iter()
                .zip(weights)
                .map(|(list, weight)| list[i] * weight)
                .sum()
        })
        .collect()
}

/// Sets all but the largest entries of each list to 0, elects a sign per position, and takes the mean
/// of the entries that have it.
fn ties(lists: &[Vec<f32>], weights: &[f32], density: f64) -> Vec<f32> {
    let lists: Vec<Vec<f32>> = lists.iter().map(|list| trimmed(list, density)).collect();
    (0..lists[0].len())
        .map(|i| {
            let positive = lists.iter().map(|list| list[i]).sum::<f32>() >= 0.0;
            let agrees = |value: f32| if positive { value > 0.0 } else { value < 0.0 };
            let agreeing = lists
                .iter()
                .zip(weights)
                .filter(|(list, _)| agrees(list[i]));
            let (count, total) = agreeing.fold((0.0_f32, 0.0), |(count, total), (list, weight)| {
                (count + 1.0, total + list[i] * weight)
            });
            total / count.max(1.0)
        })
        .collect()
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn trimmed(list: &[f32], density: f64) -> Vec<f32> {
    let kept = (density * list.len() as f64) as usize;
    let mut order: Vec<usize> = (0..list.len()).collect();
    order.sort_by(|a, b| list[*b].abs().total_cmp(&list[*a].abs()));
    let mut values = vec![0.0; list.len()];
    for index in order.into_iter().take(kept) {
        values[index] = list[index];
    }
    values
}

#[allow(clippy::cast_possible_truncation)]
fn dropped(list: Vec<f32>, density: f64, random: &mut impl RngExt) -> Vec<f32> {
    let kept = |value: f32| value / density as f32;
    list.into_iter()
        .map(|value| {
            if random.random_bool(density) {
                kept(value)
            } else {
                0.0
            }
        })
        .collect()
}

/// The factors concatenated, group by group.
fn cat(groups: usize, own: &[Own<'_>]) -> Pair {
    let columns = own[0].pair.a.columns;
    let mut a = Vec::new();
    for group in 0..groups {
        for Own { weight, pair, .. } in own {
            let rank = pair.b.columns;
            let rows = (group * rank..(group + 1) * rank).flat_map(|row| pair.a.row(row));
            a.extend(rows.map(|value| value * weight));
        }
    }
    let outputs = own[0].pair.b.rows;
    let b = (0..outputs).flat_map(|row| own.iter().flat_map(move |own| own.pair.b.row(row)));
    Pair {
        a: Matrix {
            rows: a.len() / columns,
            columns,
            values: a,
        },
        b: Matrix::of(&[outputs], b.copied().collect()),
    }
}

fn svd(layer: &Layer, own: &[Own<'_>], rank: Option<usize>) -> Pair {
    let shape = layer.shape;
    let rows = shape.outputs / shape.groups;
    let largest = own.iter().map(|own| own.pair.b.columns).max();
    let rank = rank.or(largest).unwrap_or(1).min(rows).min(shape.inputs);
    let Pair { a, b } = cat(shape.groups, own);
    let inner = b.columns;
    let mut delta = Vec::with_capacity(shape.size());
    for output in 0..shape.outputs {
        let group = output / rows;
        for input in 0..shape.inputs {
            let products = (0..inner).map(|i| b.row(output)[i] * a.row(group * inner + i)[input]);
            delta.push(products.sum());
        }
    }
    let found = factors(&delta, shape, |w: DMatrix<f64>| principal(w, rank));
    Pair {
        a: Matrix::of(&[shape.groups * rank], found.a),
        b: Matrix::of(&[shape.outputs], found.b),
    }
}

/// The mean of what the models changed besides the factors, weighted by the absolute weights.
fn average(sources: &[Source<'_>], changes: &BTreeSet<&String>) -> HashMap<String, Values> {
    let numbers = |tensor: &TrainedTensor| match &tensor.values {
        Values::Floats(values) => Some(values.to_vec()),
        Values::Indices(_) => None,
    };
    let mut found = HashMap::new();
    for path in changes {
        let having: Vec<(Vec<f32>, f64)> = sources
            .iter()
            .filter_map(|source| {
                let values = numbers(source.tensors.get(path)?)?;
                Some((values, source.weight.abs()))
            })
            .collect();
        let total: f64 = having.iter().map(|(_, weight)| weight).sum();
        if total == 0.0 {
            continue;
        }
        #[allow(clippy::cast_possible_truncation)]
        let shares: Vec<f32> = having
            .iter()
            .map(|(_, weight)| (weight / total) as f32)
            .collect();
        let lists: Vec<Vec<f32>> = having.into_iter().map(|(values, _)| values).collect();
        found.insert((*path).clone(), Values::Floats(sum(&lists, &shares).into()));
    }
    found
}
