//! The part of an image that windows read, with its padding.

/// A rectangle over a channel; outside the channel its values are 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Size of the channel.
    pub(crate) source: [usize; 2],
    /// Row and column of the channel at the first pixel of the rectangle.
    pub(crate) start: [isize; 2],
    /// Size of the rectangle.
    pub(crate) size: [usize; 2],
}

impl Window {
    /// Number of values in the rectangle.
    pub(crate) fn len(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Copies the rectangle of a channel to `out`.
    pub(crate) fn copy(&self, channel: &[f32], out: &mut [f32]) {
        let [height, width] = self.source;
        let [top, left] = self.start;
        // Columns of the rectangle that are inside the channel.
        let first = usize::try_from(-left).unwrap_or(0).min(self.size[1]);
        let last = usize::try_from(width.cast_signed() - left)
            .unwrap_or(0)
            .clamp(first, self.size[1]);
        for (row, out) in out.chunks_exact_mut(self.size[1]).enumerate() {
            let row = usize::try_from(top + row.cast_signed()).ok();
            let Some(row) = row.filter(|&row| row < height && first < last) else {
                out.fill(0.0);
                continue;
            };
            let from = row * width + (first.cast_signed() + left).cast_unsigned();
            out[..first].fill(0.0);
            out[first..last].copy_from_slice(&channel[from..from + last - first]);
            out[last..].fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Window;

    #[test]
    #[allow(clippy::cast_precision_loss)]
    fn a_window_reads_zeros_outside_its_channel() {
        let channel: Vec<f32> = (1..=12).map(|i| i as f32).collect();
        for top in -3..6 {
            for left in -4..7 {
                for size in [[1, 1], [2, 5], [6, 9]] {
                    let window = Window {
                        source: [3, 4],
                        start: [top, left],
                        size,
                    };
                    let mut out = vec![f32::NAN; window.len()];
                    window.copy(&channel, &mut out);
                    for (at, value) in out.into_iter().enumerate() {
                        let row = top + (at / size[1]).cast_signed();
                        let column = left + (at % size[1]).cast_signed();
                        let inside = (0..3).contains(&row) && (0..4).contains(&column);
                        let expected = if inside {
                            channel[(row * 4 + column).cast_unsigned()]
                        } else {
                            0.0
                        };
                        assert_eq!(value.to_bits(), expected.to_bits());
                    }
                }
            }
        }
    }
}
