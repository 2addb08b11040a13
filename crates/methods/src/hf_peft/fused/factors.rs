//! Joins changes `B·A` of parts of a layer.
//!
//! Parts with an `A` of their own are together a change of the sum of their ranks: `A` is those of the
//! parts, one below the other, and `B` has those of the parts as blocks on its diagonal:
//! `[B₁ 0; 0 B₂]·[A₁; A₂] = [B₁A₁; B₂A₂]`. The same holds for the two products of `LoHa`, whose
//! entries are multiplied.

use std::ops::Range;

use serde_json::{Value, json};

use super::opened::{InParts, Opened};
use crate::error::MethodError;
use crate::hf_peft::ranks::Ranks;
use crate::hf_peft::settings::rejected;
use crate::state::Matrix;

/// The names of the factors of a type of HF PEFT.
pub(super) struct Pairs {
    /// `B` and `A` of each product.
    factors: &'static [(&'static str, &'static str)],
    /// The setting with the usual alpha.
    alpha: &'static str,
}

impl Pairs {
    pub(super) const LORA: Self = Self {
        factors: &[("lora_B.weight", "lora_A.weight")],
        alpha: "lora_alpha",
    };
    pub(super) const LOHA: Self = Self {
        factors: &[("hada_w1_a", "hada_w1_b"), ("hada_w2_a", "hada_w2_b")],
        alpha: "alpha",
    };
}

/// What a file has of a part.
struct Own {
    rows: Range<usize>,
    rank: usize,
    /// The factor of its change.
    scale: f64,
    /// `B` and `A` of each product.
    factors: Vec<(Matrix, Matrix)>,
}

/// Joins the factors, with `DoRA`'s lengths if there are any; `base` is the layer's weight,
/// `[outputs, inputs]`.
#[allow(clippy::cast_precision_loss)]
pub(super) fn join(
    to: &mut Opened<'_>,
    whole: &InParts<'_>,
    pairs: &Pairs,
    base: impl Fn() -> Option<Matrix>,
) -> Result<(), MethodError> {
    let init = to.settings().get("init_lora_weights").cloned();
    if let Some(init @ ("pissa" | "olora")) = init.as_ref().and_then(Value::as_str) {
        return Err(rejected(format!(
            "`init_lora_weights` is \"{init}\", with adapters on parts of `{}`, which are one layer \
             here, whose changed base is another",
            whole.layer.path
        )));
    }
    let divisor = if to.settings().flag("use_rslora")? {
        |rank: f64| rank.sqrt()
    } else {
        |rank: f64| rank
    };
    let ranks = Ranks::read(&to.settings(), pairs.alpha)?;
    let mut found = Vec::new();
    for (part, rows) in &whole.parts {
        let inputs = Some(whole.layer.shape.inputs);
        let mut tensors = to.tensors(part, whole.layer);
        let mut own: Option<Own> = None;
        for (b, a) in pairs.factors {
            let stored = match &own {
                None => tensors.matrix(a, None, inputs)?,
                Some(own) => Some(tensors.second(a, Some(own.rank), inputs)?),
            };
            let Some(stored) = stored else { break };
            let (rank, alpha) = ranks.checked(part, stored.rows)?;
            let b = tensors.second(b, Some(rows.len()), Some(rank))?;
            let own = own.get_or_insert_with(|| Own {
                rows: rows.clone(),
                rank,
                scale: alpha / divisor(rank as f64),
                factors: Vec::new(),
            });
            own.factors.push((b, stored));
        }
        found.extend(own);
    }
    let Joined {
        rank,
        scale,
        factors,
    } = joined(&found, whole);
    for ((b_name, a_name), (b, a)) in pairs.factors.iter().zip(factors) {
        to.file.put(&whole.name, b_name, b);
        to.file.put(&whole.name, a_name, a);
    }
    to.set("rank_pattern", &whole.name, json!(rank));
    let alpha = scale * divisor(rank as f64);
    to.set("alpha_pattern", &whole.name, json!(alpha));
    if to.settings().flag("use_dora")? {
        lengths(to, whole, &found, base)?;
    }
    Ok(())
}

/// The change of a whole layer.
struct Joined {
    rank: usize,
    scale: f64,
    factors: Vec<(Matrix, Matrix)>,
}

fn joined(found: &[Own], whole: &InParts<'_>) -> Joined {
    // The largest scale is that of the layer; what another part has less goes into its `B`.
    let scales = found.iter().map(|own| own.scale);
    let scale = scales.fold(
        0.0,
        |most: f64, own| {
            if own.abs() > most.abs() { own } else { most }
        },
    );
    let products = found.first().map_or(0, |own| own.factors.len());
    let shares_a = found.len() == whole.parts.len()
        && found.iter().all(|own| {
            let same = |index: usize| own.factors[index].1 == found[0].factors[index].1;
            (0..products).all(same)
        });
    let rank = match found {
        [first, ..] if shares_a => first.rank,
        _ => found.iter().map(|own| own.rank).sum(),
    };
    let factors = (0..products).map(|product| {
        let mut b = Matrix::zeros(whole.layer.shape.outputs, rank);
        let mut a = Matrix::zeros(rank, whole.layer.shape.inputs);
        let mut start = 0;
        for own in found {
            let (own_b, own_a) = &own.factors[product];
            let factor = if product == 0 && scale != 0.0 {
                own.scale / scale
            } else {
                1.0
            };
            #[allow(clippy::cast_possible_truncation)]
            b.put((own.rows.start, start), own_b, factor as f32);
            a.put((start, 0), own_a, 1.0);
            if !shares_a {
                start += own.rank;
            }
        }
        (b, a)
    });
    Joined {
        rank,
        scale,
        factors: factors.collect(),
    }
}

/// `DoRA`'s lengths. Those of parts without an adapter are the base's, which change nothing.
fn lengths(
    to: &mut Opened<'_>,
    whole: &InParts<'_>,
    found: &[Own],
    base: impl Fn() -> Option<Matrix>,
) -> Result<(), MethodError> {
    const NAME: &str = "lora_magnitude_vector";
    let outputs = whole.layer.shape.outputs;
    let mut lengths = vec![0.0; outputs];
    if found.len() < whole.parts.len()
        && let Some(base) = base()
    {
        for (row, length) in lengths.iter_mut().enumerate() {
            let squares = base.row(row).iter().map(|value| value * value);
            *length = squares.sum::<f32>().sqrt();
        }
    }
    for (part, rows) in &whole.parts {
        let mut tensors = to.tensors(part, whole.layer);
        let size = (Some(rows.len()), Some(1));
        let mut stored = tensors.matrix(NAME, size.0, size.1)?;
        if stored.is_none() {
            stored = tensors.matrix(&format!("{NAME}.weight"), size.0, size.1)?;
        }
        match stored {
            Some(stored) => lengths[rows.clone()].copy_from_slice(&stored.values),
            None if found.iter().any(|own| own.rows == *rows) => return Err(tensors.lacks(NAME)),
            None => {}
        }
    }
    let lengths = Matrix::of(&[outputs], lengths);
    to.file.put(&whole.name, NAME, lengths);
    Ok(())
}
