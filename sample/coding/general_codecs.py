"""General codecs on the values that a model compresses: what they take for the same file."""

import bz2
import importlib
import io
import lzma
from collections.abc import Iterator
from typing import Any

import numpy as np

import zoo
from sample.coding.forms.contents import Contents
from sample.media.pixels import as_images

COLUMNS = 32  # pictures are laid out in a sheet, so that no codec pays a header for each


def codecs(model: Any, contents: Contents) -> Iterator[tuple[str, int]]:
    """(name, bytes) of every codec that is there."""
    lengths = contents.form.get("lengths")
    values = contents.x.reshape(-1)[: lengths and sum(lengths)]
    levels = model.head.num_values
    plain = np.packbits(values.astype(bool)) if levels == 2 else values.astype(_dtype(levels))
    content = plain.tobytes()
    yield "bz2", len(bz2.compress(content, 9))
    yield "xz", len(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
    if (module := _imported("zstandard")) is not None:
        yield "zstd", len(module.ZstdCompressor(level=22).compress(content))
    if model.kind == "images":
        yield from _image_codecs(_sheet(as_images(model, contents.x)), levels)
    if model.kind == "sound" and (module := _imported("soundfile")) is not None:
        buffer = io.BytesIO()
        wave = zoo.dequantise(values, levels, model.companding)
        module.write(buffer, wave, model.rate, format="FLAC", subtype="PCM_16")
        yield "FLAC (16 bits)", len(buffer.getvalue())


def _image_codecs(sheet, levels):
    from PIL import Image

    image = Image.fromarray(sheet)
    ways: list[tuple[str, Any, dict[str, Any]]] = [
        ("PNG", image.convert("1") if levels == 2 else image, {"optimize": True}),
        ("WebP", image.convert("RGB"), {"lossless": True, "quality": 100, "method": 6}),
    ]
    if _imported("pillow_jxl") is not None:
        ways.append(("JXL", image, {"lossless": True, "effort": 9}))
    for name, picture, how in ways:
        buffer = io.BytesIO()
        picture.save(buffer, format=name, **how)
        yield name, len(buffer.getvalue())


def _sheet(pictures):
    """Pictures side by side in rows; the surplus places are black."""
    num, height, width = pictures.shape[:3]
    rows = -(-num // COLUMNS)
    filled = np.zeros((rows * COLUMNS, *pictures.shape[1:]), np.uint8)
    filled[:num] = pictures
    filled = filled.reshape(rows, COLUMNS, *pictures.shape[1:]).swapaxes(1, 2)
    return filled.reshape(rows * height, COLUMNS * width, *pictures.shape[3:])


def _dtype(levels):
    return np.uint8 if levels <= 256 else np.uint16


def _imported(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
