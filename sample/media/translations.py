"""Translations of sources: searched, greedy or drawn, with their attention."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float

import zoo
from sample.engines.conditional import BATCH, attention_of, generate
from zoo.formats import tsv, vocabulary
from zoo.foundation.arguments import checked, strings

_PLACES = 16  # sources are padded to a multiple of this, so that few lengths compile


class Translations(NamedTuple):
    """Translations of sources.

    Attributes:
      texts: the translations.
      log_prob: log p of each under the model in nats, including its end, [num].
      ended: True if a translation has an end token, False if it was cut at the maximum length (or
        `length`), [num].
      sources: the tokens of each source.
      tokens: the tokens of each translation.
      unknown: number of source tokens outside the vocabulary; the model reads <unk> for them.
      attention: for each translation, the attention weights [tokens, source tokens]; rows sum to 1.
        None unless requested.

    Example:
      >>> import numpy as np
      >>> import sample
      >>> made = sample.Translations(
      ...     ["the cat"], np.array([-0.2]), np.ones(1, bool), [["le", "chat"]], [["the", "cat"]], 0,
      ...     [np.eye(2)],
      ... )
      >>> made.sources[0][made.attention[0][1].argmax()]  # the source of "cat"
      'chat'
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
    source: str | os.PathLike | tuple[zoo.Generative, zoo.Variables],
    sources: Sequence[str],
    beam: int | None = 5,
    attention: bool = False,
    *,
    length: int | None = None,
    length_penalty: float = 1.0,
    key: Array | None = None,
    batch_size: int = BATCH,
) -> Translations:
    """Translates each source by the likeliest text that a beam search finds, or by a sample.

    Args:
      source: a checkpoint, a run's folder, a model's name, or a pair (model, variables).
      sources: the texts to translate; surrounding blanks are ignored, tabs and line ends are
        spaces.
      beam: hypotheses that the search keeps; 1 is greedy. None draws an exact sample instead.
      attention: whether to return the attention weights.
      length: maximum number of tokens of a translation, including the end; by default the model's.
      length_penalty: see `search`.
      key: the key of the samples, consumed; `jax.random.key(0)` if None.
      batch_size: number of sources that the model reads at once.

    Returns:
      Translations, one text per source, with log_prob [num] in nats.

    Raises:
      ValueError: there are no sources or one is empty; the model does not translate, or has no
        vocabulary or no attention; or an option is out of range.

    Example:
      >>> import jax
      >>> import sample, zoo
      >>> words = ("<pad>", "<end>", "<unk>", "a", "b")
      >>> model = zoo.Seq2SeqAttention(
      ...     (6,), 5, 3, end=1, pad=0, vocabulary=words, head=zoo.Categorical(5),
      ...     source_vocabulary=words, source_values=5,
      ... )
      >>> variables = zoo.init(model, jax.random.key(0), *model.example(1))
      >>> made = sample.translate((model, variables), ["ab", "bax"], beam=2, attention=True)
      >>> len(made.texts), made.sources[1], made.unknown, made.attention[0].shape[1]
      (2, ['b', 'a', 'x'], 1, 2)
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
    output = generate(
        model,
        variables,
        context,
        beam,
        length_penalty=length_penalty,
        key=key,
        batch_size=batch_size,
    )
    texts, maps = vocabulary.texts_of(output.x, model.vocabulary), None
    if attention:
        weights = attention_of(model, variables, output.x, context, batch_size)
        maps = [
            each[: len(out), : len(into)]
            for each, out, into in zip(weights, texts, read, strict=True)
        ]
    return Translations(
        [vocabulary.joined(each, model.unit) for each in texts],
        *output[1:],
        read,
        texts,
        unknown,
        maps,
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
