//! `adapter_config.json`: what of it is understood, and what is refused.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};

use crate::catalogue::{
    AdaloraConfig, Bias, LohaConfig, LokrConfig, LoraConfig, LoraInit, ShiraConfig, VeraConfig,
};
use crate::error::MethodError;
use crate::inspect::regex;

/// The kind of adapter that a configuration describes.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Lora(LoraConfig),
    Adalora(AdaloraConfig),
    Vera(VeraConfig),
    Ia3(Feedforward),
    Loha(LohaConfig),
    Lokr(LokrConfig),
    Shira(ShiraConfig),
}

/// (IA)³'s layers whose inputs are scaled.
#[derive(Debug, Clone)]
pub(super) enum Feedforward {
    Expression(Regex),
    Endings(Vec<String>),
}

impl Feedforward {
    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Expression(regex) => regex.is_match(name),
            Self::Endings(endings) => endings.iter().any(|ending| name.ends_with(ending)),
        }
    }
}

/// Settings that change what an adapter computes, or its base, in a way that is not supported, unless
/// they are absent, null, false, 0 or empty.
const REFUSED: [&str; 21] = [
    "alora_invocation_tokens",
    "arrow_config",
    "corda_config",
    "eva_config",
    "fan_in_fan_out",
    "kasa_config",
    "layer_replication",
    "loftq_config",
    "lora_bias",
    "lora_ga_config",
    "megatron_config",
    "module_dropout",
    "monteclora_config",
    "rank_dropout",
    "rank_dropout_scale",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_effective_conv2d",
    "use_qalora",
    "velora_config",
];

pub(super) fn parse(config: &Map<String, Value>) -> Result<Kind, MethodError> {
    for name in REFUSED {
        if let Some(value) = config.get(name).filter(|value| !is_off(value)) {
            return Err(refused(format!(
                "`{name}` is {value}, which is not supported"
            )));
        }
    }
    let read = Reader(config);
    Ok(match read.text("peft_type")?.as_str() {
        "LORA" => Kind::Lora(lora(&read)?),
        "ADALORA" => Kind::Adalora(adalora(&read)?),
        "VERA" => Kind::Vera(VeraConfig {
            rank: read.or("r", Reader::count)?.unwrap_or(256),
            d_initial: read.or("d_initial", Reader::number)?.unwrap_or(0.1),
            dropout: read.or("vera_dropout", Reader::number)?.unwrap_or(0.0),
        }),
        "IA3" => Kind::Ia3(match config.get("feedforward_modules") {
            None | Some(Value::Null) => Feedforward::Endings(Vec::new()),
            Some(Value::String(pattern)) => {
                Feedforward::Expression(regex(&format!("^(?:{pattern})$"))?)
            }
            Some(Value::Array(endings)) => Feedforward::Endings(
                endings
                    .iter()
                    .filter_map(|ending| ending.as_str().map(str::to_owned))
                    .collect(),
            ),
            Some(other) => return Err(refused(format!("`feedforward_modules` is {other}"))),
        }),
        "LOHA" => Kind::Loha(LohaConfig {
            rank: read.or("r", Reader::count)?.unwrap_or(8),
            alpha: read.or("alpha", Reader::number)?.unwrap_or(8.0),
        }),
        "LOKR" => Kind::Lokr(LokrConfig {
            rank: read.or("r", Reader::count)?.unwrap_or(8),
            alpha: read.or("alpha", Reader::number)?.unwrap_or(8.0),
            decompose_both: read.flag("decompose_both")?,
            decompose_factor: match read.0.get("decompose_factor").and_then(Value::as_i64) {
                Some(factor) => usize::try_from(factor).ok(),
                None => None,
            },
        }),
        "SHIRA" => Kind::Shira(ShiraConfig {
            rank: read.or("r", Reader::count)?.unwrap_or(32),
        }),
        other => {
            return Err(refused(format!(
                "`peft_type` is {other}; supported: LORA, ADALORA, VERA, IA3, LOHA, LOKR, SHIRA"
            )));
        }
    })
}

fn adalora(read: &Reader<'_>) -> Result<AdaloraConfig, MethodError> {
    let defaults = AdaloraConfig::default();
    // PEFT counts steps, of which there must be some.
    let steps = read
        .or("total_step", Reader::number)?
        .unwrap_or(1.0)
        .max(1.0);
    let warmup = read.or("tinit", Reader::number)?.unwrap_or(0.0);
    let settle = steps - read.or("tfinal", Reader::number)?.unwrap_or(0.0);
    let number = |name, default| Ok(read.or(name, Reader::number)?.unwrap_or(default));
    Ok(AdaloraConfig {
        rank: read.or("init_r", Reader::count)?.unwrap_or(12),
        target_rank: read.or("target_r", Reader::count)?.unwrap_or(8),
        alpha: number("lora_alpha", 8.0)?,
        dropout: number("lora_dropout", 0.0)?,
        warmup: warmup / steps,
        settle: settle / steps,
        interval: read.or("deltaT", Reader::count)?.unwrap_or(1),
        beta1: number("beta1", defaults.beta1)?,
        beta2: number("beta2", defaults.beta2)?,
        orthogonality: number("orth_reg_weight", 0.5)?,
    })
}

fn lora(read: &Reader<'_>) -> Result<LoraConfig, MethodError> {
    let init = match read.0.get("init_lora_weights") {
        None | Some(Value::Null | Value::Bool(_)) => LoraInit::Kaiming,
        Some(Value::String(name)) => match name.to_lowercase().as_str() {
            "gaussian" | "orthogonal" | "eva" => LoraInit::Kaiming,
            "pissa" => LoraInit::Pissa,
            "olora" => LoraInit::Olora,
            other => {
                return Err(refused(format!(
                    "`init_lora_weights` is {other}, whose changed base cannot be made again"
                )));
            }
        },
        Some(other) => return Err(refused(format!("`init_lora_weights` is {other}"))),
    };
    let bias = match read.or("bias", Reader::text)?.as_deref() {
        None | Some("none") => Bias::None,
        Some("all") => Bias::All,
        Some("lora_only") => Bias::LoraOnly,
        Some(other) => return Err(refused(format!("`bias` is {other}"))),
    };
    Ok(LoraConfig {
        rank: read.or("r", Reader::count)?.unwrap_or(8),
        alpha: read.or("lora_alpha", Reader::number)?.unwrap_or(8.0),
        dropout: read.or("lora_dropout", Reader::number)?.unwrap_or(0.0),
        rank_pattern: read.patterns("rank_pattern", count_of)?,
        alpha_pattern: read.patterns("alpha_pattern", number_of)?,
        rslora: read.flag("use_rslora")?,
        dora: read.flag("use_dora")?,
        init,
        bias,
        ..LoraConfig::default()
    })
}

/// Whether a setting asks for nothing.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(true) => false,
    }
}

pub(super) fn refused(reason: String) -> MethodError {
    MethodError::PeftConfig { reason }
}

struct Reader<'a>(&'a Map<String, Value>);

impl Reader<'_> {
    fn text(&self, name: &str) -> Result<String, MethodError> {
        match self.0.get(name).and_then(Value::as_str) {
            Some(text) => Ok(text.to_owned()),
            None => Err(wanted(name, "text")),
        }
    }

    fn count(&self, name: &str) -> Result<usize, MethodError> {
        self.0
            .get(name)
            .map_or(Err(wanted(name, "a whole number")), |value| {
                count_of(name, value)
            })
    }

    fn number(&self, name: &str) -> Result<f64, MethodError> {
        self.0
            .get(name)
            .map_or(Err(wanted(name, "a number")), |value| {
                number_of(name, value)
            })
    }

    fn flag(&self, name: &str) -> Result<bool, MethodError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(on)) => Ok(*on),
            Some(_) => Err(wanted(name, "true or false")),
        }
    }

    /// A setting that may be absent or null.
    fn or<T>(
        &self,
        name: &str,
        read: impl Fn(&Self, &str) -> Result<T, MethodError>,
    ) -> Result<Option<T>, MethodError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => read(self, name).map(Some),
        }
    }

    fn patterns<T>(
        &self,
        name: &str,
        read: impl Fn(&str, &Value) -> Result<T, MethodError>,
    ) -> Result<BTreeMap<String, T>, MethodError> {
        let Some(Value::Object(map)) = self.0.get(name) else {
            return Ok(BTreeMap::new());
        };
        map.iter()
            .map(|(pattern, value)| Ok((pattern.clone(), read(pattern, value)?)))
            .collect()
    }
}

fn count_of(name: &str, value: &Value) -> Result<usize, MethodError> {
    let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
    count
        .filter(|count| *count > 0)
        .ok_or_else(|| wanted(name, "a whole number above 0"))
}

fn number_of(name: &str, value: &Value) -> Result<f64, MethodError> {
    value.as_f64().ok_or_else(|| wanted(name, "a number"))
}

fn wanted(name: &str, kind: &str) -> MethodError {
    refused(format!("`{name}` must be {kind}"))
}
