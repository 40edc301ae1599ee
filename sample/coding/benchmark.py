"""`python -m sample.coding.benchmark RUN FILE`: a run's lossless compression beside general codecs.

Bits/dim of the same file, MB/s both ways (of one byte a value, warm), and where the time goes: the
network and coder on the device, the coder on the host, and all the rest. Beside it the time that
`sample.draw` takes for as many examples. Codecs whose packages are not installed are left out.
"""

import bz2
import dataclasses
import io
import lzma
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro

import zoo
from sample.coding import codec, container
from sample.coding.forms import data_files
from sample.engines.sampler import draw
from sample.media.pixels import as_images
from zoo.cli import called, command
from zoo.core.checks import kind
from zoo.core.model_files import find_run

COLUMNS = 32  # pictures are laid out in a sheet, so that no codec pays a header for each


@dataclasses.dataclass(frozen=True)
class Options:
    """Compresses a file by a run and by general codecs."""

    run: Annotated[str, tyro.conf.Positional]
    """A checkpoint, a run's folder, or a model's name."""
    file: Annotated[Path, tyro.conf.Positional]
    """What the kind of the model reads."""
    num: int = 1024
    """How many examples of an array or folder; 0 for all."""
    batch_size: int = 256
    """How many examples are coded at once."""


def codecs(model: Any, contents: data_files.Contents) -> Iterator[tuple[str, int]]:
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
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _timed(function: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    return jax.block_until_ready(function()), time.perf_counter() - began


def run(options: Options) -> None:
    """Prints the table."""
    model, variables = zoo.open(find_run(options.run))
    contents = data_files.read(model, options.file, is_rounded=True)
    if options.num and "lengths" not in contents.form:
        contents = contents._replace(x=contents.x[: options.num])
    model, x, num = contents.model, contents.x, len(contents.x)
    how: dict[str, Any] = {"batch_size": options.batch_size, "last": contents.last}
    sites = (num - 1) * model.num_sites + contents.last
    dims = sites * model.num_dims // model.num_sites
    key = jax.random.key(0)
    for _ in range(2):  # the first compiles
        _, drawing = _timed(lambda: draw(model, variables, key, num, batch_size=options.batch_size))
        (header, payload), writing = _timed(lambda: codec.coded(model, variables, x, **how))
        back, reading = _timed(partial(codec.decoded, model, variables, header, payload, None))
    same = np.array_equal(back.reshape(-1)[:dims], np.asarray(x).reshape(-1)[:dims])
    _, network = _timed(lambda: _forward(model, variables, x, header))
    total = len(container.wrapped(header, payload))
    print(f"{kind(model)} on {num:,} examples of {options.file}, {dims:,} values; same: {same}")
    print(f"{'codec':16} {'bytes':>12} {'bits/dim':>9}")
    for name, size in [(kind(model), total), *codecs(model, contents)]:
        print(f"{name:16} {size:12,} {8 * size / dims:9.4f}")
    nats = sum(_nats(model, variables, x[i : i + 256]) for i in range(0, num, 256))
    if contents.last == model.num_sites:
        print(f"{'-log2 p':16} {'':12} {nats / np.log(2) / dims:9.4f}")
    print(
        f"compressed at {dims / writing / 1e6:.3f} MB/s, decompressed at {dims / reading / 1e6:.3f}"
    )
    print(
        f"{writing:.3f} s to compress ({writing / drawing:.2f} times drawing as many), of which the "
        f"device {network:.3f}; {reading:.3f} s to decompress ({reading / drawing:.2f} times)"
    )


def _forward(model, variables, x, header):
    task = codec.Task(model, variables, None, len(x), header["batch"], header["last"])
    flat = np.asarray(x).reshape(len(x), model.num_sites, *model.head.event_shape)
    for batch in range(task.batches):
        jax.block_until_ready(codec._forward(task, batch, flat, batch == task.batches - 1))


def _nats(model, variables, x):
    return -float(np.asarray(zoo.log_prob(model, variables, x), np.float64).sum())


if __name__ == "__main__":
    command(run, Options, called("sample.coding.benchmark"))
