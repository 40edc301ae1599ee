"""Pictures in array_record files, read by grain and decoded as they are used."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from train.data.dataset import DataError
from train.data.in_files import InFiles
from zoo.formats.pictures import read_picture

SUFFIX = ".array_record"
TOGETHER = 1024  # records that are read at once


class Records(InFiles):
    """Rows of pictures [N, height, width] or [N, height, width, 3], uint8, that stay in their files.

    A slice of it stays in the files too; an array of indices, and `np.asarray`, read and decode.

    Attributes:
      mode: of all pictures, as `read_picture` says it.
      shape: with N first.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, source: Any, name: str, rows: range, mode: str, shape: tuple[int, ...]):
        self._source, self._name, self._rows = source, name, rows
        self.mode, self.shape = mode, (len(rows), *shape)

    @classmethod
    def of(cls, files: Sequence[Path]) -> "Records":
        """The records of some files, one after the other; each record is a picture's file (PNG,
        JPEG, ...).

        Raises:
          DataError: grain is not installed, a file is damaged or empty, or its first record is no
            picture.
        """
        try:
            from grain.sources import ArrayRecordDataSource
        except ImportError:
            raise DataError(
                f"{files[0]} is read by grain: pip install 'autoregressive-zoo[grain]'"
            ) from None
        name = str(files[0]) if len(files) == 1 else f"{files[0].parent}/{files[0].name[:5]}*"
        try:
            source: Any = ArrayRecordDataSource([str(file) for file in files])
            num = len(source)
        except Exception as error:
            reason = " ".join(str(error).split())[:160]
            raise DataError(f"{name} is no readable array_record ({reason})") from None
        if not num:
            raise DataError(f"{name} holds no records; expected a picture's file in each")
        mode, first = _picture(source[0], f"record 0 of {name}")
        return cls(source, name, range(num), mode, first.shape)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            rows = self._rows[index]
            return Records(self._source, self._name, rows, self.mode, self.shape[1:])
        return self._read(np.asarray(self._rows)[index])

    def __str__(self) -> str:
        return f"{self._name} with {len(self):,} pictures"

    def _read(self, rows: np.ndarray) -> UInt8[np.ndarray, "..."]:
        if rows.ndim == 0:
            return self._read(rows[None])[0]
        found = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for start in range(0, len(rows), TOGETHER):
            part = rows[start : start + TOGETHER].tolist()
            for i, record in enumerate(self._source.__getitems__(part)):
                found[start + i] = self._pixels(record, part[i])
        return found

    def _pixels(self, record, row):
        mode, pixels = _picture(record, f"record {row} of {self._name}")
        if (mode, pixels.shape) != (self.mode, self.shape[1:]):
            raise DataError(
                f"record {row} of {self._name} is {list(pixels.shape)} {mode}, the first is "
                f"{list(self.shape[1:])} {self.mode}; all must be alike"
            )
        return pixels


def record_files(folder: Path, split: str) -> list[Path]:
    """The files of a split: SPLIT.array_record, or SPLIT-00000-of-00003.array_record and so on.

    Raises:
      DataError: one of several is missing.
    """
    named = re.compile(rf"{split}(?:-(\d{{5}})-of-(\d{{5}}))?{re.escape(SUFFIX)}")
    found = {path: named.fullmatch(path.name) for path in sorted(folder.iterdir())}
    files = {path: match.groups() for path, match in found.items() if match}
    if len(files) == 1 and set(files.values()) == {(None, None)}:
        return list(files)
    counts = {int(of or 0) for _, of in files.values()}
    if files and counts != {len(files)}:
        raise DataError(
            f"{folder} holds {len(files)} files of {split}, whose names do not number them 0 to "
            f"{len(files) - 1}: name them {split}-00000-of-{len(files):05}{SUFFIX} and so on"
        )
    return list(files)


def _picture(record: bytes, name: str) -> tuple[str, UInt8[np.ndarray, "..."]]:
    try:
        return read_picture(name, record)
    except ValueError as error:
        raise DataError(str(error)) from None
