"""Text, drawn whole with its likelihood, or streamed while it is drawn."""

import codecs
import functools
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import zoo
from sample.engines.ancestral_loop import Drawing, Prefix, advance
from sample.engines.noise import uniforms
from sample.engines.sampler import begin_shared, draw_by_rank, read_at_once
from sample.engines.tempered import Tempered
from sample.media.characters import decode, encode, end_of, raw
from zoo.core.arrays import check_variables
from zoo.foundation.arguments import checked, shown, strings
from zoo.foundation.limits import MOST, check_memory
from zoo.foundation.precision import without_x64

PIECE = 16  # characters per streamed piece
SHORTEST = 64  # texts are drawn at lengths of 64, 128, 256, ..., so that few programs compile


class Texts(NamedTuple):
    """Texts and their likelihood.

    Attributes:
      texts: the prompt followed by the drawn text.
      log_prob: log p of the drawn text given the prompt, including the end token if there is one,
        under the untempered model in nats, [num].

    Example:
      >>> import numpy as np
      >>> import sample
      >>> written = sample.Texts(["abca"], np.array([-6.0]))
      >>> float(-written.log_prob[0] / 3)  # nats/char of three characters after the prompt "a"
      2.0
    """

    texts: list[str]
    log_prob: Float[np.ndarray, " num"]


@checked()
def text(
    source: str | os.PathLike | tuple[zoo.Generative, zoo.Variables],
    prompt: str | Sequence[str] = "",
    num: int | None = None,
    length: int = 500,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    stop: str | Sequence[str] = (),
    key: Array | None = None,
    **options: Any,
) -> Texts:
    """Continues prompts by exact or tempered draws from a model of characters.

    Args:
      source: a checkpoint, a run's folder, a model's name, or a pair (model, variables).
      prompt: one prompt for all texts, or a list with one each; prompts may differ in length.
      num: number of texts; by default 1, or one per prompt.
      length: number of characters to draw after each prompt. It may exceed the training length,
        except for a Transformer with learned positions.
      temperature, top_k, top_p, min_p: see `Tempered`; by default the draws are exact.
      stop: a text ends before the first of these strings.
      key: a key, consumed; `jax.random.key(0)` if None.
      **options: as for `draw`: engine, batch_size.

    Returns:
      Texts: texts, and log_prob [num] in nats.

    Raises:
      ValueError: a character is not in the vocabulary, the model has no vocabulary, or an option is
        out of range.

    Example:
      >>> import jax
      >>> import sample, zoo
      >>> model = zoo.GRU(
      ...     (8,), features=4, layers=1, vocabulary=tuple("abc "), head=zoo.Categorical(4)
      ... )
      >>> variables = zoo.init(model, jax.random.key(0), *model.example(1))
      >>> written = sample.text((model, variables), ["a", "bc"], length=10)
      >>> [len(text) for text in written.texts], [text[0] for text in written.texts]
      ([11, 12], ['a', 'b'])
    """
    model, variables = opened(source)
    size = (1 if num is None else num, max(1, length))
    check_memory(model, jax.ShapeDtypeStruct(size, np.int32), f"{size[0]} texts of length {length}")
    prompts = (
        [prompt] * (1 if num is None else num)
        if isinstance(prompt, str)
        else strings(prompt, "prompt")
    )
    if not prompts or (num is not None and num != len(prompts)):
        raise ValueError(
            f"expected one prompt, or one for each of num={num} texts; got {len(prompts)}."
        )
    tempered, stops = _tempered(temperature, top_k, top_p, min_p), _stops(stop)
    model, prefix, lengths = _prepared(model, prompts, length)
    key = jax.random.key(0) if key is None else key
    end = max(lengths) + length
    drawn = draw_by_rank(
        model, variables, key, len(prompts), prefix=prefix, tempered=tempered, end=end, **options
    )
    nats, x = np.asarray(drawn.nats, np.float64), np.asarray(drawn.x)
    texts, log_prob = [], []
    for row, each, first in zip(x, nats, lengths, strict=True):
        end = end_of(model, row, first, first + length, stops)
        has_end = end < first + length and row[end] == model.end
        texts.append(decode(model, row[:end]))
        log_prob.append(each[first : end + has_end].sum())
    return Texts(texts, np.asarray(log_prob))


@checked()
def stream(
    source: str | os.PathLike | tuple[zoo.Generative, zoo.Variables],
    prompt: str = "",
    length: int = 500,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    stop: str | Sequence[str] = (),
    key: Array | None = None,
) -> Iterator[str]:
    """Yields the first text of `text` for the same arguments, piece by piece, without the prompt.

    Args:
      source, prompt, length, temperature, top_k, top_p, min_p, stop, key: as for `text`.

    Raises:
      ValueError: as for `text`.

    Example:
      >>> import jax
      >>> import sample, zoo
      >>> model = zoo.GRU(
      ...     (8,), features=4, layers=1, vocabulary=tuple("abc "), head=zoo.Categorical(4)
      ... )
      >>> variables = zoo.init(model, jax.random.key(0), *model.example(1))
      >>> whole = sample.text((model, variables), "ab", length=20).texts[0]
      >>> "ab" + "".join(sample.stream((model, variables), "ab", length=20)) == whole
      True
    """
    model, variables = opened(source)
    tempered = _tempered(temperature, top_k, top_p, min_p)
    read = codecs.getincrementaldecoder("utf-8")("replace")  # a character may span two pieces
    pieces = _pieces(model, variables, prompt, length, tempered, _stops(stop), key)
    for tokens, _, over in pieces:
        piece = raw(model, tokens)
        yield read.decode(piece, final=over) if isinstance(piece, bytes) else piece


def scored_stream(
    source: str | os.PathLike | tuple[zoo.Generative, zoo.Variables],
    prompt: str = "",
    length: int = 500,
    *,
    temperature: float = 1.0,
    key: Array | None = None,
) -> Iterator[tuple[str, float]]:
    """Yields the characters of `stream` for the same arguments, each with its surprise: -log p given
    all before it under the untempered model, in nats.

    Example:
      >>> import jax
      >>> import zoo
      >>> model = zoo.GRU(
      ...     (8,), features=4, layers=1, vocabulary=tuple("abc "), head=zoo.Categorical(4)
      ... )
      >>> variables = zoo.init(model, jax.random.key(0), *model.example(1))
      >>> characters = list(scored_stream((model, variables), "ab", length=5))
      >>> len(characters), all(nats > 0 for _, nats in characters)
      (5, True)
    """
    model, variables = opened(source)
    tempered = _tempered(temperature, None, None, None)
    read, waiting = codecs.getincrementaldecoder("utf-8")("replace"), 0.0
    for tokens, log_prob, _ in _pieces(model, variables, prompt, length, tempered, (), key):
        for token, each in zip(tokens, log_prob, strict=True):
            waiting -= float(each)  # of the bytes of a character so far
            piece = raw(model, np.asarray([token]))
            if character := read.decode(piece) if isinstance(piece, bytes) else piece:
                yield character, waiting
                waiting = 0.0


def _pieces(model, variables, prompt, length, tempered, stops, key):
    """Yields pieces of the text that is drawn: tokens, log p of each, and whether it is the last."""
    if not isinstance(prompt, str):
        raise ValueError(f"a prompt must be text; got {shown(prompt)}.")
    model, prefix, (given,) = _prepared(model, [prompt], length)
    key = jax.random.key(0) if key is None else key
    known = Prefix(prefix[0].astype(model.head.dtype), np.asarray([given], np.int32))
    start = read_at_once(model, variables, None, given) or 0
    cache, nats = begin_shared(model, start, variables, None, known)
    drawing = Drawing(cache, jnp.asarray(known.values), nats)
    advanced = functools.partial(_advanced, model, variables, _noise(model, key), known, tempered)
    if start < given:
        drawing = advanced(drawing, np.int32(start), np.int32(given - start))
    # The last tokens are held back while they may be the start of a stop.
    held = max((len(each.encode()) for each in stops), default=1) - 1
    yielded, total = given, given + length
    for first in range(given, total, PIECE):
        size = min(PIECE, total - first)
        drawing = advanced(drawing, np.int32(first), np.int32(size))
        row, log_prob = np.asarray(drawing.x)[0], np.asarray(drawing.nats)[:, 0]
        end = end_of(model, row, given, first + size, stops)
        over = end < first + size or first + size == total
        until = end if over else max(yielded, end - held)
        yield row[yielded:until], log_prob[yielded:until], over
        yielded = until
        if over:
            return


def opened(source: Any) -> tuple[zoo.Sequence, zoo.Variables]:
    """Returns the model and variables of a source.

    Raises:
      ValueError: the model does not write text.
    """
    model: Any
    model, variables = zoo.open(source)
    if model.kind in ("translation", "captions"):
        raise ValueError(
            f"{type(model).__name__} writes from a context: use sample.translate or sample.caption."
        )
    if model.kind != "text" or not model.vocabulary:
        raise ValueError(f"{type(model).__name__} has no vocabulary, so it cannot write text.")
    check_variables(model, variables)
    return model, variables


def _prepared(model, prompts, length):
    """Prepares a draw.

    Returns the model at a length that holds all texts, the prompts as a prefix (values, known), and
    the number of tokens of each prompt.
    """
    if not 1 <= length <= MOST:
        raise ValueError(f"length must be at most {MOST:,} and at least 1; got {length}.")
    tokens = [encode(model, prompt) for prompt in prompts]
    lengths = [len(each) for each in tokens]
    total = max(lengths) + int(length)
    if model.max_length is not None and total > model.max_length:
        raise ValueError(
            f"this model reads at most {model.max_length} characters, and a prompt of "
            f"{total - length} with length={length} "
            f"makes {total}: shorten one of them. Use positions='rotary' for unlimited length."
        )
    total = max(SHORTEST, 1 << (total - 1).bit_length())
    if model.max_length is not None:
        total = min(total, model.max_length)
    values, known = np.zeros((len(prompts), total), np.int32), np.zeros((len(prompts), total), bool)
    for i, each in enumerate(tokens):
        values[i, : len(each)], known[i, : len(each)] = each, True
    return model.clone(site_shape=(total,)), (values, known), lengths


def _stops(stop):
    stops = (stop,) if isinstance(stop, str) else tuple(strings(stop, "stop"))
    if "" in stops:
        raise ValueError("a stop must not be empty: every text contains the empty text.")
    return stops


def _tempered(temperature, top_k, top_p, min_p):
    tempered = Tempered(temperature, top_k, top_p, min_p)
    return None if tempered == Tempered() else tempered


@without_x64
@functools.partial(jax.jit, static_argnums=0)
def _noise(model, key):
    return uniforms(key, jnp.zeros(1, jnp.int32), model.num_sites, model.head.uniforms)


@without_x64
@functools.partial(jax.jit, static_argnums=0, donate_argnums=5)
def _advanced(model, variables, u, known, tempered, drawing, first, size):
    return advance(
        model, zoo.decoder(model, variables, 1), u, drawing, first, size, known, tempered
    )
