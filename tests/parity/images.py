#!/usr/bin/env python3
"""Writes images of many kinds and the pixels that Pillow reads, for `crates/data/tests/pillow.rs`.

    pip install numpy==2.4.6 pillow==13.0.0
    python3 tests/parity/images.py

Writes `crates/data/tests/fixtures/images`: small files, and `expected.json` with the mode, the size and
the bytes of `convert("RGB")` after `exif_transpose`; null for a file that Pillow does not read.
"""

import io
import json
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin

OUT = pathlib.Path(__file__).resolve().parents[2] / "crates/data/tests/fixtures/images"
WIDTH, HEIGHT = 9, 7

random = np.random.default_rng(0)
noise = Image.fromarray(random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))
clear = Image.fromarray(random.integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8), "RGBA")
y, x = np.mgrid[0:16, 0:24]
smooth = Image.fromarray(
    np.stack([x * 9 % 256, y * 14 % 256, (x + y) * 6 % 256], -1).astype(np.uint8)
)


def save(name: str, image: Image.Image, **options) -> None:
    image.save(OUT / name, **options)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def write(name: str, data: bytes) -> None:
    (OUT / name).write_bytes(data)


def deep(most: int) -> Image.Image:
    return Image.fromarray(random.integers(0, most, (HEIGHT, WIDTH), dtype=np.uint16))


def exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    return exif


def tiff() -> None:
    save("big.tif", noise, big_tiff=True)
    save("palette.tif", noise.convert("P"))
    save("palette4.tif", noise.quantize(4))
    floats = Image.fromarray((random.random((HEIGHT, WIDTH)) * 400 - 60).astype(np.float32))
    save("float.tif", floats)
    save("float01.tif", Image.fromarray(random.random((HEIGHT, WIDTH)).astype(np.float32)))
    save("bit.tif", noise.convert("1"))
    save("la.tif", clear.convert("LA"))
    save("l.tif", noise.convert("L"))
    save("i16.tif", deep(65536))
    save("i16small.tif", deep(300))
    save("i32.tif", Image.fromarray(random.integers(-100, 400, (HEIGHT, WIDTH), dtype=np.int32)))
    save("rgba.tif", clear)
    save("cmyk.tif", noise.convert("CMYK"))
    save("ycbcr.tif", smooth.convert("YCbCr"))
    save("lab.tif", Image.merge("LAB", noise.split()))
    for compression in ("tiff_lzw", "tiff_deflate", "packbits", "tiff_adobe_deflate", "zstd", "lzma"):
        save(f"{compression}.tif", noise, compression=compression)
    save("jpeg.tif", smooth, compression="jpeg", quality=95)
    save("g4.tif", noise.convert("1"), compression="group4")
    save("g3.tif", noise.convert("1"), compression="group3")
    save("ccitt.tif", noise.convert("1"), compression="tiff_ccitt")
    save("frames.tif", noise, save_all=True, append_images=[clear.convert("RGB")])
    save("white.tif", noise.convert("L"), tiffinfo={262: 0})
    save("la_lzw.tif", clear.convert("LA"), compression="tiff_lzw")
    save("float_lzw.tif", floats, compression="tiff_lzw")
    save("pal_lzw.tif", noise.convert("P"), compression="tiff_lzw")
    save("bigla.tif", clear.convert("LA"), big_tiff=True)
    save("orient.tif", noise, tiffinfo={274: 6})


def chunk(name: bytes, body: bytes, checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(name + body) if checksum is None else checksum
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)


def raw_png(color: int, bits: int, samples: int) -> bytes:
    rows = random.integers(0, 256, (HEIGHT, (WIDTH * samples * bits + 7) // 8), dtype=np.uint8)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, color, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def png() -> None:
    whole = encoded(noise, "PNG")
    write("noiend.png", whole[:-12])
    write("halfiend.png", whole[:-6])
    write("trail.png", whole + b"garbage" * 5)
    write("crc_iend.png", whole[:-4] + b"abcd")
    text = PngImagePlugin.PngInfo()
    text.add_text("a", "b")
    texts = encoded(noise, "PNG", pnginfo=text)
    at = texts.index(b"tEXt")
    end = at + 4 + struct.unpack(">I", texts[at - 4 : at])[0]
    write("crc_text.png", texts[:end] + b"abcd" + texts[end + 4 :])
    at = whole.index(b"IDAT")
    length = struct.unpack(">I", whole[at - 4 : at])[0]
    end = at + 4 + length
    write("crc_idat.png", whole[:end] + b"abcd" + whole[end + 4 :])
    write("nocrc_idat.png", whole[:end])
    write("cut_idat.png", whole[: end - 6])
    write("cut_half.png", whole[: at + 4 + length // 2])
    pixels = whole[at + 4 : end - 4] + bytes(4)
    write("adler.png", whole[: at - 4] + chunk(b"IDAT", pixels) + whole[end + 4 :])
    save("l16.png", deep(65536))
    save("l16small.png", deep(300))
    write("rgb16.png", raw_png(2, 16, 3))
    write("rgba16.png", raw_png(6, 16, 4))
    write("la16.png", raw_png(4, 16, 2))
    for bits in (1, 2, 4):
        write(f"grey{bits}.png", raw_png(0, bits, 1))
    save("bit.png", noise.convert("1"))
    save("la.png", clear.convert("LA"))
    save("pal.png", noise.quantize(16))
    save("paltr.png", noise.quantize(16), transparency=3)
    save("rgba.png", clear)
    save("rgbtr.png", noise, transparency=(1, 2, 3))
    save("ltr.png", noise.convert("L"), transparency=3)
    save("anim.png", noise, save_all=True, append_images=[noise.transpose(0)])
    save("anim_d.png", noise, save_all=True, append_images=[noise.transpose(0)], default_image=True)
    save("exif.png", noise, exif=exif(6))


def jpeg() -> None:
    whole = encoded(smooth, "JPEG", quality=92)
    write("zeros.jpg", whole[:-2] + bytes(64))
    write("noeoi.jpg", whole[:-2])
    write("trail.jpg", whole + b"x" * 50)
    write("ff.jpg", whole[:-1])
    for count in (3, 4, 6, 10, 20, 60):
        write(f"cut{count}.jpg", whole[:-count])
    write("half.jpg", whole[: len(whole) // 2 + 200])
    progressive = encoded(smooth, "JPEG", progressive=True)
    write("prog.jpg", progressive)
    write("prog_noeoi.jpg", progressive[:-2])
    write("prog_cut.jpg", progressive[:-80])
    write("prog_zeros.jpg", progressive[:-2] + bytes(64))
    save("grey.jpg", smooth.convert("L"))
    save("cmyk.jpg", smooth.convert("CMYK"))
    for name, subsampling in (("s444", 0), ("s422", 1), ("s420", 2)):
        save(f"{name}.jpg", smooth, subsampling=subsampling)
    save("rgbj.jpg", smooth, keep_rgb=True)
    for orientation in range(1, 9):
        save(f"o{orientation}.jpg", smooth, exif=exif(orientation))
    save("mpo.mpo", smooth, save_all=True, append_images=[smooth])
    large = Image.fromarray(random.integers(0, 256, (37, 41, 3), dtype=np.uint8))
    restart = encoded(large, "JPEG", quality=80, restart_marker_blocks=2)
    write("restart.jpg", restart)
    write("restart_noeoi.jpg", restart[:-2])


def gif() -> None:
    save("anim.gif", noise, save_all=True, append_images=[noise.transpose(0)])
    save("tr.gif", noise.quantize(16), transparency=2)
    whole = encoded(noise.quantize(32), "GIF")
    write("plain.gif", whole)
    write("notrail.gif", whole[:-1])
    write("cut.gif", whole[:-3])
    save("l.gif", noise.convert("L"))
    save("bit.gif", noise.convert("1"))
    save("inter.gif", noise.quantize(32), interlace=1)
    write("small_frame.gif", whole[:6] + struct.pack("<HH", 20, 15) + whole[10:])
    save("rgba.gif", clear)


def webp() -> None:
    save("lossy.webp", smooth, quality=80)
    save("lossless.webp", noise, lossless=True)
    save("alpha.webp", clear, lossless=True)
    save("alossy.webp", clear, quality=90)
    save("anim.webp", noise, save_all=True, append_images=[noise.transpose(0)], lossless=True)
    whole = encoded(smooth, "WEBP", quality=80)
    write("cut.webp", whole[:-4])
    write("trail.webp", whole + b"xxxx")


def bmp() -> None:
    whole = encoded(noise, "BMP")
    write("rgb.bmp", whole)
    write("cut.bmp", whole[:-3])
    write("topdown.bmp", whole[:22] + struct.pack("<i", -HEIGHT) + whole[26:])
    save("pal.bmp", noise.convert("P"))
    save("bit.bmp", noise.convert("1"))
    save("l.bmp", noise.convert("L"))
    save("rgba.bmp", clear)

    def raw(bits: int, compression: int, colors: bytes, body: bytes) -> bytes:
        start = 54 + len(colors)
        head = b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start)
        info = (40, WIDTH, HEIGHT, 1, bits, compression, len(body), 0, 0, len(colors) // 4, 0)
        return head + struct.pack("<IiiHHIIiiII", *info) + colors + body

    rows = random.integers(0, 32768, (HEIGHT, WIDTH), dtype=np.uint16)
    stride = (WIDTH * 2 + 3) // 4 * 4
    write("b555.bmp", raw(16, 0, b"", b"".join((row.tobytes() + bytes(4))[:stride] for row in rows)))
    runs = (b"".join(bytes([1, value]) for value in row) + b"\0\0" for row in np.array(noise.convert("L")))
    colors = b"".join(bytes([i, 255 - i, i // 2, 0]) for i in range(256))
    write("rle8.bmp", raw(8, 1, colors, b"".join(runs) + b"\0\1"))


def pnm() -> None:
    save("rgb.ppm", noise)
    save("l.pgm", noise.convert("L"))
    save("bit.pbm", noise.convert("1"))
    save("l16.pgm", deep(65536))
    write("ascii.ppm", b"P3\n# c\n2 1\n15\n0 7 15  1 2 3\n")
    write("ascii.pbm", b"P1\n3 2\n1 0 1\n0 1 0\n")
    write("max100.pgm", b"P5 3 1 100\n\x00\x32\x64")
    write("cut.ppm", encoded(noise, "PPM")[:-2])


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    for file in OUT.iterdir():
        file.unlink()
    for kind in (tiff, png, jpeg, gif, webp, bmp, pnm):
        kind()
    lines = []
    for file in sorted(OUT.iterdir()):
        try:
            with Image.open(file) as image:
                mode = image.mode
                rgb = ImageOps.exif_transpose(image).convert("RGB")
            size = {"width": rgb.width, "height": rgb.height}
            expected = {"mode": mode, **size, "rgb": rgb.tobytes().hex()}
        except (OSError, SyntaxError):
            expected = None
        lines.append(f"{json.dumps(file.name)}: {json.dumps(expected)}")
    (OUT / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
