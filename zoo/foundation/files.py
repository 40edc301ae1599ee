"""Files that are written whole or not at all, and JSON that any reader takes."""

import contextlib
import json
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def write_whole(path: str | os.PathLike, content: bytes) -> None:
    """Writes a file, whole or not at all: a reader finds the old content or the new one.

    Raises:
      OSError: the file cannot be written; the old one stays.

    Example:
      >>> write_whole("figures.txt", b"1 2 3")
      >>> Path("figures.txt").read_bytes()
      b'1 2 3'
    """
    with replacing(path) as partial:
        partial.write_bytes(content)


@contextlib.contextmanager
def replacing(path: str | os.PathLike, suffix: str = "") -> Iterator[Path]:
    """Yields a path beside `path` for a file or folder, which takes the place of `path` in the end.
    After an error it is removed, and what is at `path` stays.

    Args:
      path: of the file or folder to write.
      suffix: what the path that is yielded ends with.

    Example:
      >>> with replacing("figures") as folder:
      ...     folder.mkdir()
      >>> Path("figures").is_dir()
      True
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial{suffix}")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if error.filename == str(partial):
            error.filename = str(path)  # the file that the caller named
        raise
    finally:
        with contextlib.suppress(OSError):  # a folder that cannot be written has no partial file
            partial.unlink(missing_ok=True) if partial.is_file() else shutil.rmtree(partial, True)


def to_json(value: Any, indent: int | None = None) -> str:
    """The value as JSON; numbers that are infinite or nan, which JSON does not have, become null.

    >>> to_json({"nats": 1.5, "errors": (float("nan"), float("inf"))})
    '{"nats": 1.5, "errors": [null, null]}'
    """
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def files_below(path: Path, suffix: str) -> list[Path]:
    """A file, or the files of a folder and below that have a suffix.

    Raises:
      ValueError: there are none.
    """
    if not path.exists():
        raise ValueError(f"there is nothing at {path}; expected a {suffix} or a folder of them.")
    if path.is_file():
        return [path]
    found = sorted(
        file
        for file in path.rglob("*")
        if file.is_file() and file.suffix.lower() == suffix and file.name[0] != "."
    )
    if not found:
        raise ValueError(f"{path} holds no {suffix} files; expected some.")
    return found
