"""Text: one long line of characters or bytes, read in windows or as streams."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

import zoo
from train.data.batching import Streams, Windows
from train.data.dataset import Data, DataError, Dataset, Split, lines, ragged
from train.data.in_memory import check_counts, levels_of, rows
from train.data.sources.texts import python_docs, text, tiny_shakespeare
from train.kinds.kind import Kind
from zoo.formats.vocabulary import BYTES
from zoo.foundation.files import files_below


class Text(Kind):
    """A recurrent network reads streams, every other model windows at random places."""

    name = "text"
    holds = "text"
    example = "python_docs"
    own = "text"
    flags = ("unit", "mutate")
    recipe = {
        "steps": 2_000,
        "batch_size": 32,
        "learning_rate": 2e-3,
        "clip": 1.0,
        "ema": 0.99,
        "eval_every": 200,
    }
    from_data = ("head", "vocabulary", "end", "pad")
    most_samples = 3
    loaders = {"python_docs": python_docs, "tiny_shakespeare": tiny_shakespeare, "text": text}

    def read(self, model, parts):
        """A text is a string, or one line of tokens [length]; a string's characters are tokens in
        order of code point, or as the model's vocabulary numbers them.
        """
        lines, texts = [], [part.x for part in parts if isinstance(part.x, str)]
        vocabulary = model.vocabulary or tuple(sorted(set("".join(texts))))
        for name, x, context in parts:
            tokens = rows(_tokens(x, vocabulary, name) if isinstance(x, str) else x, name)
            if tokens.ndim != 1 or tokens.dtype.kind == "f" or context is not None:
                raise DataError(
                    f"{name} must be a string, or one line of tokens, whole numbers [length], "
                    f"without context; got {tokens.dtype} of shape {list(tokens.shape)}."
                )
            lines.append(Split(tokens, None))
        return lines, {"num_levels": levels_of(lines), "vocabulary": vocabulary}

    def hold_out(self, split, fraction, seed):
        """The end of the text is for validation."""
        held = max(1, round(len(split.x) * fraction))
        check_counts(len(split.x) - held, held, fraction)
        train, valid = np.split(split.x, [len(split.x) - held])
        return Split(train, None), Split(valid, None)

    def shaped(self, model, dataset, given):
        """Where tokens stand for no text, the head has as many values as there are tokens."""
        if dataset.vocabulary or "head" in given:
            return model
        return model.clone(head=zoo.Categorical(dataset.num_levels))

    def prepare(self, model, dataset):
        if model.end is not None:
            raise DataError(
                f"{dataset.name} is one long text, in which nothing ends: drop --model.end and "
                "--model.pad"
            )
        valid, test = (
            cut(split, name, dataset, model.num_sites)
            for split, name in ((dataset.valid, "validation"), (dataset.test, "test"))
        )
        return dataclasses.replace(dataset, valid=valid, test=test)

    def whole(self, model, data, reading):
        """A text, or a folder of them."""
        parts = []
        for file in files_below(Path(os.path.expanduser(data.path)), ".txt"):
            found = text(dataclasses.replace(data, name=file.name, path=str(file)))
            own = self.alike(model, found, "none")
            parts.append(np.concatenate([own.train.x, own.valid.x, own.test.x]))
        return whole_lines(parts, model, data, len(model.vocabulary), vocabulary=model.vocabulary)

    def alike(self, model, dataset, binarise):
        """Texts are read in the model's vocabulary."""
        if dataset.vocabulary == model.vocabulary:
            return dataset
        numbers = {token: number for number, token in enumerate(model.vocabulary)}
        found = np.array([numbers.get(token, -1) for token in dataset.vocabulary])

        def translated(split):
            x = found[split.x]
            if (x < 0).any():
                token = dataset.vocabulary[int(split.x[np.argmax(x < 0)])]
                raise DataError(
                    f"{dataset.name} has {token!r}, which the model's vocabulary of {len(numbers)} "
                    "lacks: train a model of bytes (--data.unit byte), which reads any text."
                )
            return split._replace(x=x.astype(np.int32))

        return dataclasses.replace(dataset.map(translated), vocabulary=model.vocabulary)

    def known(self, dataset):
        return {"vocabulary": dataset.vocabulary}

    def with_data(self, model, dataset):
        if not dataset.vocabulary:  # tokens that stand for no text
            return model
        return model.clone(head=zoo.Categorical(len(dataset.vocabulary)), **self.known(dataset))

    def batches(self, model, dataset, batch_size, seed):
        if model.streams:
            return Streams(dataset.train.x, model.num_sites, batch_size)
        return Windows(dataset.train, model.num_sites, batch_size, seed)

    def largest_batch(self, model, dataset):
        tokens = len(dataset.train.x)  # windows overlap, streams do not
        return tokens // model.num_sites if model.streams else tokens

    def unit(self, model):
        return "byte" if model.vocabulary == BYTES else "char"


def _tokens(text, vocabulary, name):
    if vocabulary == BYTES:
        return np.frombuffer(text.encode(), np.uint8)
    numbers = {token: number for number, token in enumerate(vocabulary)}
    if unknown := sorted(set(text) - set(numbers)):
        raise DataError(
            f"{name} has the character {unknown[0]!r}, which the model's vocabulary of "
            f"{len(vocabulary)} lacks: take it out, or pass a model without a vocabulary."
        )
    return np.array([numbers[character] for character in text])


def cut(split: Split, name: str, dataset: Dataset, length: int) -> Split:
    """A split of texts or sounds as windows of `length`, each line from where it begins."""
    check_length(split, name, dataset, length)
    counts = [len(line) // length for line in lines(split)]
    pieces = [
        line[: count * length].reshape(count, length)
        for line, count in zip(lines(split), counts, strict=True)
    ]
    return Split(
        np.concatenate(pieces), None if split.context is None else np.repeat(split.context, counts)
    )


def whole_lines(
    parts: list[np.ndarray], model: Any, data: Data, levels: int, **facts: Any
) -> Dataset:
    """Lines of foreign files as each split; those shorter than the model's examples are left out.

    Raises:
      DataError: all of them are.
    """
    kept = [line for line in parts if len(line) >= model.num_sites]
    if not kept:
        raise DataError(
            f"{data.path} has nothing as long as the examples of the model, {model.num_sites:,} "
            "tokens or samples: pass something longer."
        )
    whole = Split(ragged(kept), None)
    left = len(parts) - len(kept)
    title = f"{data.name}, windows of {model.num_sites:,}"
    title += f" ({left} of {len(parts)} files are shorter, and left out)" if left else ""
    return Dataset(data.name, title, whole, whole, whole, levels, **facts)


def check_length(split: Split, name: str, dataset: Dataset, length: int) -> None:
    """Raises DataError unless every line of a split holds a window."""
    shortest = min(map(len, lines(split)))
    if shortest < length:
        raise DataError(
            f"{dataset.name}: the {name} split has {shortest:,} tokens, fewer than one window of "
            f"{length}: pass "
            "--model.site-shape N with a smaller N, or a longer text."
        )


KIND = Text()
