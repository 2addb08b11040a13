//! Cached features as bytes.

use std::borrow::Cow;

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::recipe::FeatureDtype;

impl FeatureDtype {
    /// The size of one value in bytes.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::F32 => size_of::<f32>(),
            Self::F16 => size_of::<f16>(),
        }
    }

    /// Converts values to bytes, in native byte order.
    ///
    /// # Errors
    ///
    /// The first finite value that is too large for the type.
    pub(crate) fn encode(self, values: &[f32]) -> Result<Cow<'_, [u8]>, f32> {
        if self == Self::F32 {
            return Ok(Cow::Borrowed(bytemuck::cast_slice(values)));
        }
        let mut halves = vec![f16::ZERO; values.len()];
        halves.convert_from_f32_slice(values);
        let mut pairs = values.iter().zip(&halves);
        if let Some((value, _)) =
            pairs.find(|(value, half)| value.is_finite() && half.is_infinite())
        {
            return Err(*value);
        }
        let bits: &[u16] = halves.reinterpret_cast();
        Ok(Cow::Owned(bytemuck::cast_slice(bits).to_vec()))
    }

    /// Appends the values that bytes encode to `values`.
    pub(crate) fn decode(self, bytes: &[u8], values: &mut Vec<f32>) {
        match self {
            Self::F32 => {
                let (bytes, _) = bytes.as_chunks();
                values.extend(bytes.iter().map(|value| f32::from_ne_bytes(*value)));
            }
            Self::F16 => {
                let (bytes, _) = bytes.as_chunks();
                let halves: Vec<f16> = bytes.iter().map(|half| f16::from_ne_bytes(*half)).collect();
                let before = values.len();
                values.resize(before + halves.len(), 0.0);
                halves.convert_to_f32_slice(&mut values[before..]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(dtype: FeatureDtype, values: &[f32]) -> Result<Vec<u32>, f32> {
        let bytes = dtype.encode(values)?;
        assert_eq!(bytes.len(), values.len() * dtype.size());
        let mut back = Vec::new();
        dtype.decode(&bytes, &mut back);
        Ok(back.iter().map(|value: &f32| value.to_bits()).collect())
    }

    #[test]
    fn f32_is_exact_and_f16_is_rounded_to_11_bits() {
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let values = [0.1, -1.0e30, f32::MIN_POSITIVE / 8.0, -0.0, f32::INFINITY];
        assert_eq!(round_trip(FeatureDtype::F32, &values), Ok(bits(&values)));
        let unit = 2.0_f32.powi(-10);
        let smallest = 2.0_f32.powi(-24);
        // Ties are rounded to the even multiple of a unit; below 2^-14, the unit is always 2^-24.
        let cases = [
            (1.0, 1.0),
            (1.0 + 0.5 * unit, 1.0),
            (1.0 + 1.5 * unit, 1.0 + 2.0 * unit),
            (-1.0 - 0.51 * unit, -1.0 - unit),
            (65504.0, 65504.0),
            (65519.0, 65504.0),
            (0.4 * smallest, 0.0),
            (1.6 * smallest, 2.0 * smallest),
            (f32::INFINITY, f32::INFINITY),
        ];
        let (values, wanted): (Vec<f32>, Vec<f32>) = cases.into_iter().unzip();
        assert_eq!(round_trip(FeatureDtype::F16, &values), Ok(bits(&wanted)));
    }

    #[test]
    fn the_first_value_too_large_for_f16_is_returned() {
        let outcome = round_trip(FeatureDtype::F16, &[1.0, -65520.0, 1e9]);
        assert_eq!(outcome, Err(-65520.0));
    }
}
