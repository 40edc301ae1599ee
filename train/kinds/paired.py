"""What translations and captions share: every example is a sequence that ends, made from something
else.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

import zoo
from train.data.batching import Batches, shortened
from train.data.dataset import DataError, Split
from train.kinds.kind import Kind
from zoo.formats.vocabulary import END, PAD, SPECIAL, codes, pieces


class Paired(Kind):
    """Sequences are filled up with padding, and nats are stated of their tokens, the end included."""

    recipe = {
        "steps": 4_000,
        "batch_size": 64,
        "learning_rate": 3e-3,
        "clip": 1.0,
        "ema": 0.99,
        "eval_every": 500,
    }
    from_data: ClassVar[tuple[str, ...]] = ("head", "vocabulary", "unit", "end", "pad")

    def alike(self, model, dataset, binarise):
        """The test pairs, which the model reads by its own vocabularies."""
        if not dataset.vocabulary:  # tokens that stand for no text
            return dataset
        sources, targets = zip(*dataset.pairs, strict=True)
        tokens = [pieces(text, model.unit) for text in targets]
        x, _ = codes(tokens, model.vocabulary, end=True)
        if x.shape[1] > model.num_sites:
            longest = max(targets, key=len)
            raise DataError(
                f"{dataset.name} has a target of {x.shape[1]} tokens with its end, but at most "
                f"{model.num_sites} are expected: take {longest[:40]!r}... out."
            )
        test = Split(x, self.sources(model, sources, dataset.test.context))
        return dataclasses.replace(dataset.map(lambda _: test), vocabulary=model.vocabulary)

    def sources(self, model: Any, texts: Sequence[str], context: Any) -> Any:
        """What the model reads of sources, given those of the test split. By default: these."""
        return context

    def prepare(self, model, dataset):
        length = model.num_sites
        longest = max(split.x.shape[1] for split in (dataset.train, dataset.valid, dataset.test))
        if longest > length:
            raise DataError(
                f"{dataset.name} has sequences of up to {longest} tokens with their end, but the "
                f"{type(model).__name__} "
                f"writes at most {length}: pass --model.site-shape {longest}."
            )

        def pad(split):
            return split._replace(x=np.pad(split.x, ((0, 0), (0, length - split.x.shape[1]))))

        return dataset.map(pad)

    def shaped(self, model, dataset, given):
        """`site_shape` is the length of the longest sequence, its end included."""
        splits = (dataset.train, dataset.valid, dataset.test)
        changes: dict[str, Any] = {"site_shape": (max(split.x.shape[1] for split in splits),)}
        if not dataset.vocabulary:
            changes["head"] = zoo.Categorical(dataset.num_levels)
        return model.clone(**{name: changes[name] for name in set(changes) - set(given)})

    def read(self, model, parts):
        """Tokens [N, length], with the model's `end` and `pad`, and what each row is made from."""
        if model.end is None or model.pad != 0 or getattr(model, "source_pad", 0) != 0:
            raise DataError(
                "sequences made from a context need an end, and 0 as padding: pass a model with "
                "end=1, pad=0 (and source_pad=0), such as "
                f"{type(model).__name__}(end=1, pad=0)."
            )
        if bare := [part.name for part in parts if part.context is None]:
            raise DataError(f"{bare[0]} needs a context, what each row is made from: pass context.")
        splits, facts = super().read(model, parts)
        for (name, _, _), split in zip(parts, splits, strict=True):
            if split.x.ndim != 2 or split.x.dtype.kind == "f":
                raise DataError(
                    f"{name} must hold tokens, whole numbers [N, length]; got {split.x.dtype} of "
                    f"shape {list(split.x.shape)}."
                )
        splits = [split._replace(x=split.x.astype(np.int32)) for split in splits]
        return splits, facts | {"vocabulary": model.vocabulary}

    def known(self, dataset):
        if not dataset.vocabulary:  # tokens that stand for no text
            return {}
        ends = {"pad": SPECIAL.index(PAD), "end": SPECIAL.index(END)}
        return {"vocabulary": dataset.vocabulary, "unit": dataset.unit, **ends}

    def with_data(self, model, dataset):
        if not dataset.vocabulary:
            return model
        return model.clone(head=zoo.Categorical(len(dataset.vocabulary)), **self.known(dataset))

    def check_chosen(self, model, dataset):
        if model.unit not in (type(model).unit, dataset.unit):
            raise DataError(
                f"a token of {dataset.name} is a {dataset.unit}, not a {model.unit}: pass "
                f"--data.unit {model.unit} instead."
            )
        super().check_chosen(model, dataset)

    def batches(self, model, dataset, batch_size, seed):
        return Batches(dataset.train, batch_size, seed, dataset.dynamic, paired=True)

    def shortened(self, model, batch):
        return shortened(batch, model.pad, getattr(model, "source_pad", 0))

    def of_length(self, model, x):
        return model.clone(site_shape=x.shape[1:])

    def unit(self, model):
        return "token"

    def scored_sites(self, model, x):
        return (x != model.pad).sum(1).astype(np.float32)

    def samples(self, asked):
        return None
