"""Texts as tokens, characters or words, and the vocabulary that a model keeps of them."""

import functools
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Int32

Unit: TypeAlias = Literal["char", "word"]


PAD, END, UNKNOWN = (
    "<pad>",
    "<end>",
    "<unk>",
)  # tokens 0, 1 and 2 of every vocabulary made here; no text has them


SPECIAL = (PAD, END, UNKNOWN)


SHORT = 16  # tokens; shorter rows are not worth a compilation


BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))  # the vocabulary of a model of bytes


def pieces(text: str, unit: Unit) -> list[str]:
    """The tokens of a text in normal form C: its characters, or its words in lower case and its
    marks as Moses parts them.

    Raises:
      ImportError: words, and sacremoses is not installed.

    Example:
      >>> pieces("Zoo", "char")
      ['Z', 'o', 'o']
    """
    if unit == "char":
        return list(unicodedata.normalize("NFC", text))
    return _moses().tokenizer.tokenize(unicodedata.normalize("NFC", text.lower()), escape=False)


def joined(tokens: Iterable[str], unit: Unit) -> str:
    """The text of tokens; of words with marks where they usually stand.

    Raises:
      ImportError: words, and sacremoses is not installed.

    Example:
      >>> joined(["Z", "o", "o"], "char")
      'Zoo'
    """
    return (
        "".join(tokens)
        if unit == "char"
        else _moses().detokenizer.detokenize(list(tokens), unescape=False)
    )


class _Moses(NamedTuple):
    """The rules of Moses for English, which serve other languages that part words by spaces."""

    tokenizer: Any
    detokenizer: Any


@functools.cache
def _moses() -> _Moses:
    try:
        from sacremoses import MosesDetokenizer, MosesTokenizer
    except ImportError:
        raise ImportError(
            "words need sacremoses: pip install 'autoregressive-zoo[text]'."
        ) from None
    return _Moses(MosesTokenizer("en"), MosesDetokenizer("en"))


def vocabulary(texts: Iterable[Sequence[str]], least: int = 1) -> tuple[str, ...]:
    """The special tokens, then every token that occurs at least so many times, in order of their
    code points.

    Example:
      >>> vocabulary(["abba", "a"], least=2)
      ('<pad>', '<end>', '<unk>', 'a', 'b')
    """
    counts = Counter(token for text in texts for token in text)
    return (*SPECIAL, *sorted(token for token, count in counts.items() if count >= least))


def codes(
    texts: Sequence[Sequence[str]], vocabulary: tuple[str, ...], *, end: bool
) -> tuple[Int32[np.ndarray, "texts longest"], int]:
    """Tokens as numbers: rows of the same length, filled up with padding.

    Args:
      texts: their tokens as strings.
      vocabulary: as `vocabulary` makes it.
      end: whether each row has the token of the end.

    Returns:
      (the rows, how many tokens are unknown to the vocabulary and became the one for unknown).

    Example:
      >>> rows, unknown = codes(["ab", "abc"], vocabulary(["ab"]), end=True)
      >>> rows.tolist(), unknown
      ([[3, 4, 1, 0], [3, 4, 2, 1]], 1)
    """
    numbers = {token: number for number, token in enumerate(vocabulary)}
    unknown, last = numbers[UNKNOWN], [numbers[END]] if end else []
    rows = [[numbers.get(token, unknown) for token in text] + last for text in texts]
    padded = np.full((len(rows), max(map(len, rows), default=0)), numbers[PAD], np.int32)
    for row, tokens in zip(padded, rows, strict=True):
        row[: len(tokens)] = tokens
    return padded, sum(token not in numbers for text in texts for token in text)


def trimmed(
    rows: Int32[np.ndarray, "texts length"], pad: int = 0
) -> Int32[np.ndarray, "texts shorter"]:
    """Rows of tokens without most of the padding that all of them end with.

    The length is halved as often as the longest row allows, so that few lengths, each compiled
    once, serve all batches.

    Example:
      >>> trimmed(np.eye(2, 64, dtype=np.int32)).shape
      (2, 16)
    """
    length, longest = rows.shape[1], 1 + int(np.flatnonzero((rows != pad).any(0)).max(initial=-1))
    while length > SHORT and -(-length // 2) >= longest:
        length = -(-length // 2)
    return rows[:, :length]


def texts_of(
    rows: Int32[np.ndarray, "texts length"], vocabulary: tuple[str, ...]
) -> list[list[str]]:
    """The tokens of each row as strings, up to its end.

    Example:
      >>> texts_of(np.array([[3, 4, 1, 0]], np.int32), vocabulary(["ab"]))
      [['a', 'b']]
    """
    over = {PAD, END}
    texts = []
    for row in rows:
        tokens = [vocabulary[number] for number in row]
        texts.append(
            tokens[: next((i for i, token in enumerate(tokens) if token in over), len(tokens))]
        )
    return texts
