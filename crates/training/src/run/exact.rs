//! JSON form of numbers that must be read back to the last bit, NaN and infinities included.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    // `Debug` writes the shortest text that is read back as the same number.
    serializer.serialize_str(&format!("{value:?}"))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    match Written::deserialize(deserializer)? {
        Written::Number(value) => Ok(value),
        Written::Text(text) => text
            .parse()
            .map_err(|_| D::Error::custom(format!("`{text}` is not a number"))),
    }
}

/// Older files have plain numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(f64),
    Text(String),
}

/// The same for numbers that may be missing.
pub(super) mod option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Exact(#[serde(with = "super")] f64);

    #[allow(clippy::ref_option)] // as serde calls it
    pub(in super::super) fn serialize<S: Serializer>(
        value: &Option<f64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(Exact).serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<f64>, D::Error> {
        Ok(Option::<Exact>::deserialize(deserializer)?.map(|exact| exact.0))
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Both {
        #[serde(with = "super")]
        a: f64,
        #[serde(with = "super::option")]
        b: Option<f64>,
    }

    #[test]
    fn numbers_are_read_back_to_the_bit() {
        let mut bits: u64 = 0x9e37_79b9_7f4a_7c15;
        for _ in 0..1000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let a = f64::from_bits(bits);
            let text = serde_json::to_string(&Both { a, b: Some(a) }).unwrap();
            let back: Both = serde_json::from_str(&text).unwrap();
            assert!(back.a.to_bits() == bits || a.is_nan());
            assert!(back.b.unwrap().to_bits() == bits || a.is_nan());
        }
        let none = Both { a: 0.1, b: None };
        let text = serde_json::to_string(&none).unwrap();
        assert_eq!(serde_json::from_str::<Both>(&text).unwrap(), none);
    }
}
