"""Text as tokens, characters or bytes: the documentation that comes with Python, tiny Shakespeare,
or your own file.

The first 90 % of a text are for training, the next 5 % for validation, the last 5 % for the test
(the splits of tensorflow_datasets' tiny_shakespeare). The vocabulary is every character of the
whole text, in order of code point.
"""

import codecs
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from train.data.dataset import Data, DataError, Dataset, Split
from train.data.sources.standard import splits_of

_PIECE = 1 << 20  # characters of a file that are looked at together


def python_docs(data: Data) -> Dataset:
    """The help topics of Python's own documentation, about 460,000 characters (they differ between
    versions of Python).
    """
    from pydoc_data.topics import topics

    return _dataset(
        data,
        "help topics of Python's documentation",
        lambda: iter([topics[name] for name in sorted(topics)]),
    )


def tiny_shakespeare(data: Data) -> Dataset:
    """40,000 lines of Shakespeare, 1,115,394 characters (Karpathy's char-rnn)."""
    splits, title, _ = splits_of(data)
    whole = splits["whole"].x.tobytes().decode()
    return _dataset(data, title, lambda: iter([whole]))


def text(data: Data) -> Dataset:
    """Your own text, UTF-8, at `data.path`; it is read twice, a piece at a time."""
    if data.path is None:
        raise DataError("text needs your own data: pass --data.path FILE.txt")
    path = Path(os.path.expanduser(data.path))
    if not path.is_file():
        raise DataError(f"there is no file {path}; --data.path needs a text in UTF-8")
    return _dataset(data, path.name, lambda: _pieces(path), path)


def _pieces(path: Path) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield _decode(decoder, piece, path)
        yield _decode(decoder, b"", path)


def _decode(decoder, piece, path):
    try:
        return decoder.decode(piece, final=not piece)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not a text in UTF-8 ({error.reason}); convert it first, or pass --data.unit "
            "byte"
        ) from None


def _dataset(data, title, pieces, path=None):
    if data.unit == "word":
        raise DataError(
            f"{title}: --data.unit of a text is char or byte; words are for pairs and captions"
        )
    if data.unit == "byte":
        from zoo.formats.vocabulary import BYTES

        whole = path.read_bytes() if path else "".join(pieces()).encode()
        tokens, vocabulary = np.frombuffer(whole, np.uint8), BYTES
    else:
        tokens, vocabulary = _characters(pieces)
    if len(tokens) == 0:
        raise DataError(f"{title} is empty; a text needs at least some thousand characters")
    parts = np.split(tokens, [len(tokens) * 90 // 100, len(tokens) * 95 // 100])
    train, valid, test = (Split(part, None) for part in parts)
    what = "bytes" if data.unit == "byte" else f"characters of {len(vocabulary)} kinds"
    description = f"{title}, {len(tokens):,} {what}, test split of {len(test.x):,}"
    return Dataset(
        data.name, description, train, valid, test, len(vocabulary), vocabulary=vocabulary
    )


def _characters(pieces):
    seen: set[str] = set()
    length = 0
    for piece in pieces():
        seen.update(piece)
        length += len(piece)
    vocabulary = tuple(sorted(seen))
    tokens = np.empty(length, np.uint8 if len(vocabulary) <= 256 else np.int32)
    codes = np.array([ord(character) for character in vocabulary], np.uint32)
    begin = 0
    for piece in pieces():
        points = np.frombuffer(piece.encode("utf-32-le"), np.uint32)
        tokens[begin : begin + len(points)] = np.searchsorted(codes, points)
        begin += len(points)
    return tokens, vocabulary
