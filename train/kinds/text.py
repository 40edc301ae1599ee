"""Text: one long line of characters or bytes, read in windows or as streams."""

import dataclasses

import numpy as np

import zoo
from train.data.batching import Streams, Windows
from train.data.dataset import DataError, Dataset, Split, lines
from train.data.sources.texts import python_docs, text, tiny_shakespeare
from train.kinds.kind import Kind
from zoo.formats.vocabulary import BYTES


class Text(Kind):
    """A recurrent network reads streams, every other model windows at random places."""

    name = "text"
    holds = "text"
    example = "python_docs"
    own = "text"
    flags = ("unit",)
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

    def known(self, dataset):
        return {"vocabulary": dataset.vocabulary}

    def with_data(self, model, dataset):
        return model.clone(head=zoo.Categorical(len(dataset.vocabulary)), **self.known(dataset))

    def batches(self, model, dataset, batch_size, seed):
        if model.streams:
            return Streams(dataset.train.x, model.num_sites, batch_size)
        return Windows(dataset.train, model.num_sites, batch_size, seed)

    def unit(self, model):
        return "byte" if model.vocabulary == BYTES else "char"


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
