//! Decoded images, and rectangles of them.

/// A decoded image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Raster {
    /// Height in pixels.
    pub(crate) height: usize,
    /// Width in pixels.
    pub(crate) width: usize,
    /// `[height, width, 3]` bytes: red, green and blue.
    pub(crate) pixels: Vec<u8>,
}

/// A rectangle of a decoded image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// The bytes of the image, `[rows, stride, 3]`.
    pixels: &'a [u8],
    /// Width of the image in pixels.
    stride: usize,
    top: usize,
    left: usize,
    height: usize,
    width: usize,
}

impl Raster {
    /// The whole image.
    pub(crate) fn view(&self) -> View<'_> {
        View {
            pixels: &self.pixels,
            stride: self.width,
            top: 0,
            left: 0,
            height: self.height,
            width: self.width,
        }
    }
}

impl<'a> View<'a> {
    /// Height in pixels.
    pub(crate) fn height(&self) -> usize {
        self.height
    }

    /// Width in pixels.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The rectangle of `[height, width]` at `[top, left]` of this one.
    pub(crate) fn crop(self, [top, left]: [usize; 2], [height, width]: [usize; 2]) -> Self {
        Self {
            top: self.top + top,
            left: self.left + left,
            height,
            width,
            ..self
        }
    }

    /// The bytes of a row, `[width, 3]`.
    pub(crate) fn row(&self, row: usize) -> &'a [u8] {
        &self.pixels[((self.top + row) * self.stride + self.left) * 3..][..self.width * 3]
    }

    /// Its bytes, `[height, width, 3]`.
    pub(crate) fn to_vec(self) -> Vec<u8> {
        (0..self.height)
            .flat_map(|row| self.row(row))
            .copied()
            .collect()
    }
}
