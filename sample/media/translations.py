"""Sentences from sources: searched, greedy or drawn, with where the model looked."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float

import zoo
from sample.engines.conditional import BATCH, looked, written
from zoo.formats import tsv, vocabulary
from zoo.foundation.arguments import checked, strings

_PLACES = 16  # sources are filled up to a multiple of this, so that not every length compiles anew


class Translations(NamedTuple):
    """What was made of each source.

    Attributes:
      texts: as text.
      log_prob: nats of each under the model, its end included, [num].
      ended: whether each has an end, or was cut off at the longest that the model writes (or
        `length`), [num].
      sources: the tokens of each source.
      tokens: the tokens of each text.
      unknown: how many tokens of the sources are not in the vocabulary; the model reads <unk> for
        them.
      attention: where the model looked when it wrote each token, [tokens, source tokens], rows sum
        to 1; of each text. None unless it was asked for.
    """

    texts: list[str]
    log_prob: Float[np.ndarray, " num"]
    ended: Bool[np.ndarray, " num"]
    sources: list[list[str]]
    tokens: list[list[str]]
    unknown: int
    attention: list[np.ndarray] | None


@checked(beam=1, length=1, length_penalty=0, batch_size=1)
def translate(
    source: str | os.PathLike | tuple[zoo.Autoregressive, zoo.Variables],
    sources: Sequence[str],
    beam: int | None = 5,
    attention: bool = False,
    *,
    length: int | None = None,
    length_penalty: float = 1.0,
    key: Array | None = None,
    batch_size: int = BATCH,
) -> Translations:
    """Makes of each source the sentence that the model thinks likeliest.

    Args:
      source: a checkpoint, a run's folder, a model's name, or a pair (model, variables).
      sources: the texts to read; blanks around them do not count, tabs and line ends are spaces.
      beam: how many beginnings the search keeps; 1 is greedy. None draws an exact sample instead.
      attention: whether to say where the model looked.
      length: the most tokens of a sentence with its end; by default the model's.
      length_penalty: see `search`.
      key: of the samples, consumed; `jax.random.key(0)` if None.
      batch_size: how many sources are read at once.

    Raises:
      ValueError: no sources or an empty one, a model that does not translate, has no vocabulary or
        no attention, or options without meaning.
    """
    model, variables = _opened(source)
    if isinstance(sources, str) or not (sources := strings(sources, "sources")):
        raise ValueError(f"sources must be a list of texts, at least one; got {sources!r}.")
    if (empty := next((text for text in sources if not tsv.one_line(text)), None)) is not None:
        raise ValueError(f"the source {empty!r} is empty: it has no {model.unit}.")
    read = [vocabulary.pieces(tsv.one_line(text), model.unit) for text in sources]
    context, unknown = vocabulary.codes(read, model.source_vocabulary, end=False)
    context = np.pad(context, ((0, 0), (0, -context.shape[1] % _PLACES)))
    if length is not None:
        model = model.clone(site_shape=(length,))
    rows = written(
        model,
        variables,
        context,
        beam,
        length_penalty=length_penalty,
        key=key,
        batch_size=batch_size,
    )
    texts, looks = vocabulary.texts_of(rows.x, model.vocabulary), None
    if attention:
        weights = looked(model, variables, rows.x, context, batch_size)
        looks = [
            each[: len(out), : len(into)]
            for each, out, into in zip(weights, texts, read, strict=True)
        ]
    return Translations(
        [vocabulary.joined(each, model.unit) for each in texts],
        *rows[1:],
        read,
        texts,
        unknown,
        looks,
    )


def _opened(source):
    model: Any
    model, variables = zoo.open(source)
    if model.kind != "translation":
        raise ValueError(f"{type(model).__name__} does not translate: it reads no source.")
    if not model.vocabulary or not model.source_vocabulary:
        raise ValueError(
            f"this {type(model).__name__} has no vocabulary; train it on pairs of texts."
        )
    return model, variables
