"""Batches: for training a pure function of the step, for evaluation in order."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Shaped

from train.data.dataset import DataError, Redraw, Split, bernoulli, generator, lines, take

Tokens = Shaped[np.ndarray, " N"]
_ORDER, _NOISE = 0, 1  # two independent streams of one seed


class Batches:
    """The training stream as a pure function of the step, so that a resumed run sees what it would
    have seen.

    Epoch e visits the permutation of (seed, e) and drops the remainder; the bits of a dynamic
    binarisation, and what `redraw` makes of the examples, are those of (seed, step). With `paired`,
    examples are sequences, whose common padding is left out (`shortened`).
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        seed: int,
        dynamic: bool = False,
        paired: bool = False,
        redraw: Redraw | None = None,
    ):
        if not 0 < batch_size <= len(split.x):
            raise DataError(
                f"a batch of {batch_size} cannot be taken from {len(split.x)} training examples; "
                f"pass --batch-size {len(split.x)} or less"
            )
        self.split, self.batch_size, self.seed, self.dynamic = split, batch_size, seed, dynamic
        self.paired, self.redraw = paired, redraw
        self._epoch: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    @property
    def steps_per_epoch(self) -> int:
        """How many whole batches one epoch holds."""
        return len(self.split.x) // self.batch_size

    def __call__(
        self, step: int
    ) -> tuple[Shaped[np.ndarray, "B *site"], Shaped[np.ndarray, "B ..."] | None]:
        """The batch of a step (0, 1, ...): examples and labels, or what they are made from."""
        epoch, i = divmod(step, self.steps_per_epoch)
        index = self._order(epoch)[i * self.batch_size : (i + 1) * self.batch_size]
        random = generator(self.seed, _NOISE, step)
        batch = self.redraw(random, index) if self.redraw else take(self.split, index)
        if self.paired:
            batch = shortened(batch)
        x = bernoulli(random, batch.x) if self.dynamic else batch.x
        return x, batch.context

    def _order(self, epoch: int) -> np.ndarray:
        cached, order = self._epoch
        if cached != epoch:
            order = generator(self.seed, _ORDER, epoch).permutation(len(self.split.x))
            self._epoch = (epoch, order)
        return order


class Windows:
    """Pieces of a text or of recordings, at places that are a pure function of (seed, step), each
    place as likely as any.
    """

    def __init__(self, split: Split, length: int, batch_size: int, seed: int):
        self.lines, self.labels = lines(split), split.context
        shortest = min(map(len, self.lines))
        if shortest < length:
            raise DataError(
                f"the training split has a piece of {shortest:,} tokens or samples; windows of "
                f"{length} need at least "
                "as many: pass a smaller --model.site-shape"
            )
        self.length, self.batch_size, self.seed = length, batch_size, seed
        self.places = np.cumsum([len(line) - length + 1 for line in self.lines])

    @property
    def steps_per_epoch(self) -> int:
        """How many batches hold as many tokens as there are."""
        return max(1, sum(map(len, self.lines)) // (self.length * self.batch_size))

    def __call__(
        self, step: int
    ) -> tuple[Shaped[np.ndarray, "B length"], Shaped[np.ndarray, " B"] | None]:
        """The windows of a step (0, 1, ...), and the labels of their recordings."""
        place = generator(self.seed, _ORDER, step).integers(self.places[-1], size=self.batch_size)
        which = np.searchsorted(self.places, place, side="right")
        ends = place - self.places[which] + [len(self.lines[i]) + 1 for i in which]
        x = np.stack(
            [self.lines[i][end - self.length : end] for i, end in zip(which, ends, strict=True)]
        )
        return x, None if self.labels is None else self.labels[which]


class Streams:
    """One long line of tokens as `batch_size` streams side by side, read on from step to step and
    then from the start.
    """

    def __init__(self, tokens: Tokens, length: int, batch_size: int):
        if len(tokens) < length * batch_size:
            raise DataError(
                f"the training text has {len(tokens):,} tokens; {batch_size} streams of {length} "
                "at a time need "
                f"{length * batch_size:,}: pass a smaller --batch-size or --model.site-shape"
            )
        self.length, self.batch_size = length, batch_size
        self.streams = tokens[: len(tokens) // batch_size * batch_size].reshape(batch_size, -1)

    @property
    def steps_per_epoch(self) -> int:
        """How many pieces a stream has."""
        return self.streams.shape[1] // self.length

    def __call__(self, step: int) -> tuple[Shaped[np.ndarray, "B length"], Bool[np.ndarray, " B"]]:
        """The next piece of every stream, and whether it is the first of it."""
        i = step % self.steps_per_epoch
        return self.streams[:, i * self.length : (i + 1) * self.length], np.full(
            self.batch_size, i == 0
        )


def batches(split: Split, batch_size: int) -> Iterator[Split]:
    """The examples of a split in order; the last batch may be smaller."""
    for start in range(0, len(split.x), batch_size):
        yield take(split, slice(start, start + batch_size))


def shortened(split: Split, pad: int = 0, source_pad: int = 0) -> Split:
    """Pairs or captions without most of the padding that all sequences end with, and all sources."""
    from zoo.formats.vocabulary import trimmed

    x, context = trimmed(split.x, pad), split.context
    if context is not None and context.ndim == 2:  # sources, and no images
        context = trimmed(context, source_pad)
    return Split(x, context)
