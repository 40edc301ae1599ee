"""Characters and bytes as tokens of a model, and back."""

from typing import Any

import numpy as np

import zoo
from zoo.formats.vocabulary import BYTES


def encode(model: zoo.Sequence, text: str) -> np.ndarray:
    """Returns the tokens of a text.

    Raises:
      ValueError: a character is not in the vocabulary; the message names it.
    """
    if model.vocabulary == BYTES:
        return np.frombuffer(text.encode(), np.uint8).astype(np.int32)
    codes = {character: token for token, character in enumerate(model.vocabulary)}
    if unknown := sorted(set(text) - set(codes)):
        named = ", ".join(map(repr, unknown[:10]))
        raise ValueError(
            f"the model's vocabulary of {len(codes)} characters has no {named}; it has "
            f"{''.join(model.vocabulary)!r}."
        )
    return np.array([codes[character] for character in text], np.int32)


def end_of(model, row, begin, end, stops):
    """Returns where a text ends: at the end token, before the first stop, or at `end`."""
    if model.end is not None and (row[begin:end] == model.end).any():
        end = begin + int((row[begin:end] == model.end).argmax())
    drawn: Any = raw(model, row[begin:end])
    found = [
        at
        for each in stops
        if (at := drawn.find(each.encode() if isinstance(drawn, bytes) else each)) >= 0
    ]
    return begin + min(found) if found else end


def raw(model, tokens):
    """Returns the bytes of a model of bytes, the text of any other."""
    if model.vocabulary == BYTES:
        return bytes(tokens.tolist())
    return "".join(model.vocabulary[token] for token in tokens)


def decode(model, tokens):
    """Returns the text of tokens."""
    text = raw(model, tokens)
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text
