"""One sequence for each context, searched or drawn, and the attention behind it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

import zoo
from sample.engines.beam_search import search
from sample.engines.sampler import draw
from zoo.formats import vocabulary

BATCH = 64


class Output(NamedTuple):
    """Sequences and their likelihood.

    Attributes:
      x: sequences [num, length].
      log_prob: log p of each in nats, [num].
      ended: whether each has an end token, [num].
    """

    x: Int[np.ndarray, "num length"]
    log_prob: Float[np.ndarray, " num"]
    ended: Bool[np.ndarray, " num"]


def generate(
    model: zoo.EncoderDecoder,
    variables: zoo.Variables,
    context: PyTree,
    beam: int | None,
    *,
    length_penalty: float = 1.0,
    key: Array | None = None,
    batch_size: int = BATCH,
) -> Output:
    """Returns the best sequence of a beam search for each context, or a sample if `beam` is None.

    The key is consumed; `jax.random.key(0)` if None.
    """
    zoo.check_context(model, context)
    num = len(jax.tree.leaves(context)[0])
    if beam is None:
        drawn = draw(
            model,
            variables,
            jax.random.key(0) if key is None else key,
            num,
            context=context,
            batch_size=batch_size,
        )
        return _output(model, drawn.x, drawn.log_prob)
    parts = []
    for part in _batches(context, num, batch_size):
        part = vocabulary.trimmed(part, model.source_pad) if model.kind == "translation" else part
        found = search(model, variables, part, beam, length_penalty=length_penalty)
        parts.append(_output(model, found.x[:, 0], found.log_prob[:, 0]))
    return jax.tree.map(lambda *each: np.concatenate(each)[:num], *parts)


def _output(model, x, log_prob):
    x = np.asarray(x)
    return Output(x, np.asarray(log_prob), (x == model.end).any(1))


def attention_of(
    model: zoo.EncoderDecoder,
    variables: zoo.Variables,
    x: np.ndarray,
    context: PyTree,
    batch_size: int = BATCH,
) -> Float[np.ndarray, "num length places"]:
    """Returns the attention weights with which the model generates each token of x."""
    parts = [
        np.asarray(zoo.attention_weights(model, variables, *part))
        for part in _batches((x, context), len(x), batch_size)
    ]
    return np.concatenate(parts)[: len(x)]


def _batches(tree: PyTree, num: int, batch_size: int) -> Iterator[Any]:
    """Yields batches of one size; copies of the last row fill up the last batch."""
    size = min(batch_size, num)
    for begin in range(0, num, size):
        index = np.minimum(np.arange(begin, begin + size), num - 1)
        yield jax.tree.map(lambda leaf: leaf[index], tree)  # noqa: B023
