"""Arrays of numbers in files: how large they are is known before memory is taken for them, and no
cast changes a value.
"""

import math
import os
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Shaped

SHARE = 4  # of the machine's memory that one file may fill: one part in this many
PACKED, TIMES = (
    2**30,
    100,
)  # a packed array of more bytes may be at most so many times as large as its file


def array_names(path: str | os.PathLike) -> list[str]:
    """The names of the arrays in an .npz; that of an .npy is "images".

    Raises:
      ValueError: the file is damaged.

    Example:
      >>> np.savez("images.npz", images=np.zeros((2, 3)), labels=np.arange(2))
      >>> array_names("images.npz")
      ['images', 'labels']
    """
    try:
        if not zipfile.is_zipfile(path):
            return ["images"]
        with zipfile.ZipFile(path) as archive:
            return [member.filename.removesuffix(".npy") for member in archive.infolist()]
    except Exception as error:
        raise _unreadable(Path(path), error) from None


def read_arrays(
    path: str | os.PathLike, names: Collection[str] | None = None
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """The arrays of an .npz by their names, or that of an .npy under the name "images".

    Args:
      path: the file.
      names: which arrays of an .npz to read; by default all of them.

    Raises:
      ValueError: there are none, or they would fill more than a quarter of the memory, or a packed
        one of more than 1 GiB is more than 100 times as large as its file. Pickled objects are
        never loaded.

    Example:
      >>> np.savez("images.npz", images=np.zeros((2, 3)))
      >>> {name: x.shape for name, x in read_arrays("images.npz").items()}
      {'images': (2, 3)}
    """
    path = Path(path)
    try:
        if not zipfile.is_zipfile(path):
            return {"images": _read(path, lambda: path.open("rb"), path.stat().st_size)}
        with zipfile.ZipFile(path) as archive:
            members = [
                member
                for member in archive.infolist()
                if names is None or member.filename.removesuffix(".npy") in names
            ]
            check_size(sum(member.file_size for member in members), path)
            return {
                member.filename.removesuffix(".npy"): _member(path, archive, member)
                for member in members
            }
    except Exception as error:
        raise _unreadable(path, error) from None


def map_array(path: str | os.PathLike) -> Shaped[np.ndarray, "..."]:
    """The array of an .npy, which stays in its file until it is used. Raises as `read_arrays`, but
    for the memory.

    Example:
      >>> np.save("images.npy", np.arange(3))
      >>> map_array("images.npy").tolist()
      [0, 1, 2]
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            _check_header(file, path.stat().st_size)
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        raise _unreadable(path, error) from None


def check_size(num_bytes: int, what: Any) -> None:
    """Raises ValueError if so many bytes are more than a quarter of the memory of this machine.

    Example:
      >>> check_size(1000, "a small file")
    """
    most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // SHARE
    if num_bytes > most:
        raise TooLarge(
            f"{what} takes {num_bytes / 2**30:,.1f} GiB of memory; at most {most / 2**30:,.1f} "
            "GiB, a quarter of this "
            "machine's, are read: make it smaller."
        )


def cast(x: Any, dtype: Any, what: Any) -> Shaped[np.ndarray, "..."]:
    """Integers as another dtype.

    Raises:
      ValueError: a value would not be the same; `what` names them.

    Example:
      >>> cast(np.array([0, 255]), np.uint8, "the file").dtype
      dtype('uint8')
    """
    x, info = np.asarray(x), np.iinfo(dtype)
    if x.dtype.kind not in "biu":
        raise ValueError(f"{what} holds {x.dtype}; expected integers.")
    if x.size and (int(x.min()) < info.min or int(x.max()) > info.max):
        raise ValueError(
            f"{what} holds numbers from {x.min()} to {x.max()}; expected {info.min} to "
            f"{info.max} ({np.dtype(dtype)})."
        )
    return x.astype(dtype)


def as_pixels(arrays: Mapping[str, Any], what: Any) -> tuple[dict[str, np.ndarray], str]:
    """Arrays as uint8, 0..255, all by one rule.

    Integers and whole numbers from 0 to 255 stay as they are; other real numbers must lie in [0, 1],
    and x becomes round(255 x).

    Args:
      arrays: arrays of bool, integers or real numbers, by their names.
      what: names them in messages.

    Returns:
      The arrays, and a sentence on what the rule made of real numbers; "" if it changed no value.

    Raises:
      ValueError: their values are neither; the message names the array and its range.

    Example:
      >>> as_pixels({"x": np.array([0.0, 0.5, 1.0])}, "the file")[0]["x"].tolist()
      [0, 128, 255]
    """
    arrays = {name: np.asarray(x) for name, x in arrays.items()}
    for name, x in arrays.items():
        if x.dtype.kind not in "biuf":
            raise ValueError(f"{what}: `{name}` holds {x.dtype}; {_PIXELS}.")
        if x.size and not (x.min() >= 0 and x.max() <= 255):  # nan is neither
            raise ValueError(
                f"{what}: `{name}` holds {x.dtype} from {x.min():g} to {x.max():g}; {_PIXELS}. "
                "Convert them first, such as (x + 1) / 2 of values from -1 to 1."
            )
    if all(x.dtype.kind != "f" or (x == np.round(x)).all() for x in arrays.values()):
        return {name: x.astype(np.uint8) for name, x in arrays.items()}, ""
    for name, x in arrays.items():
        if x.size and x.max() > 1:
            raise ValueError(
                f"{what}: `{name}` holds {x.dtype} up to {x.max():g}, not all of them whole; "
                f"{_PIXELS}. Convert them first, such as x / x.max() or x.round()."
            )
    scaled = {name: np.round(255 * x).astype(np.uint8) for name, x in arrays.items()}
    return scaled, "real numbers x in 0..1 are read as the greys round(255 x)"


_PIXELS = "expected uint8 (0..255), bool, or real numbers in 0..1, read as round(255 x)"


class TooLarge(ValueError):
    """What does not fit into memory, or pretends to."""


def _unreadable(path: Path, error: Exception) -> ValueError:
    """What foreign and damaged files raise, in one line; numpy and zipfile raise whatever they
    stumble over.
    """
    if isinstance(error, TooLarge):
        return error
    why = " ".join(str(error).split()) or type(error).__name__
    return ValueError(
        f"{path} cannot be read as arrays of numbers ({why}); pickled objects are never loaded."
    )


def _member(path, archive, member):
    packed, size = member.compress_size, member.file_size
    if size > PACKED and size > TIMES * packed:
        raise TooLarge(
            f"{path} packs {size / 2**30:,.1f} GiB of `{member.filename}` into "
            f"{packed / 2**20:,.1f} MiB; at most {TIMES} "
            f"times as much is unpacked above {PACKED / 2**30:g} GiB: write it as an .npy."
        )
    return _read(path, lambda: archive.open(member), size)


def _read(path: Path, opened: Callable[[], IO[bytes]], size: int) -> np.ndarray:
    """The array of a file of `size` bytes."""
    with opened() as file:
        _check_header(file, size)
    check_size(size, path)
    with opened() as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _check_header(file, size):
    """Raises ValueError unless a file of `size` bytes holds all that its header promises."""
    version = np.lib.format.read_magic(file)
    is_short = version == (1, 0)  # (2, 0) and (3, 0) differ in what names of fields may hold
    read = np.lib.format.read_array_header_1_0 if is_short else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    promised, there = math.prod(shape) * dtype.itemsize, size - file.tell()
    if dtype.hasobject:
        raise ValueError("it holds objects")
    if promised > there or min(shape, default=0) < 0:
        raise ValueError(
            f"its header promises {promised:,} bytes, {dtype} of shape {list(shape)}, but there "
            f"are {there:,}"
        )
