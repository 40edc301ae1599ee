"""Captions of images, with where the model looked at every word."""

import os
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

import zoo
from sample.engines.conditional import BATCH, looked, written
from zoo.formats import vocabulary
from zoo.foundation.arguments import array, checked, shown

DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGIT = 28  # pixels


class Captions(NamedTuple):
    """What was said of each image.

    Attributes:
      texts: the captions.
      log_prob: nats of each under the model, its end included, [num].
      ended: whether each has an end, or was cut off at the longest that the model writes, [num].
      tokens: the tokens of each caption.
      attention: of each caption, where the model looked at each token, [tokens, rows, columns] of
        its grid, sum 1. None unless it was asked for.
      centres: the middle of each row and each column of the grid, in pixels.
    """

    texts: list[str]
    log_prob: Float[np.ndarray, " num"]
    ended: Bool[np.ndarray, " num"]
    tokens: list[list[str]]
    attention: list[np.ndarray] | None
    centres: tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " columns"]]


@checked(beam=1, length_penalty=0, batch_size=1)
def caption(
    source: str | os.PathLike | tuple[zoo.Autoregressive, zoo.Variables],
    images: Any,
    beam: int | None = 5,
    attention: bool = False,
    *,
    length_penalty: float = 1.0,
    key: Array | None = None,
    batch_size: int = BATCH,
) -> Captions:
    """Says of each image what the model thinks likeliest.

    Args:
      source: a checkpoint, a run's folder, a model's name, or a pair (model, variables).
      images: integers 0..255 [num, height, width(, 3)], or a list of such images; from files by
        `read_pixels`.
      beam: how many beginnings the search keeps; 1 is greedy. None draws an exact sample instead.
      attention: whether to say where the model looked.
      length_penalty: see `search`.
      key: of the samples, consumed; `jax.random.key(0)` if None.
      batch_size: how many images are seen at once.

    Raises:
      ValueError: no images or of another size, a model that does not describe images, has no
        vocabulary or no attention, or options without meaning.
    """
    model: Any
    model, variables = zoo.open(source)
    if model.kind != "captions":
        raise ValueError(f"{type(model).__name__} does not describe images.")
    if not model.vocabulary:
        raise ValueError(
            f"this {type(model).__name__} has no vocabulary; train it on images with captions."
        )
    if (
        isinstance(images, str | os.PathLike)
        or not isinstance(images, Iterable)
        or getattr(images, "ndim", 1) == 0
    ):
        raise ValueError(
            "images must be arrays, from files by sample.read_pixels(model, path); got "
            f"{shown(images)}."
        )
    images, wanted = [array(image, "an image") for image in images], list(model.image_shape)
    shapes = sorted({np.shape(image) for image in images})
    if shapes != [tuple(wanted)]:
        got = f"images of {', '.join(str(list(shape)) for shape in shapes)}" if shapes else "none"
        raise ValueError(
            f"{type(model).__name__} describes a list of images of shape {wanted}; got {got}."
        )
    context = np.stack(images)
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
            each[: len(out)].reshape(len(out), *model.grid)
            for each, out in zip(weights, texts, strict=True)
        ]
    return Captions(
        [vocabulary.joined(each, model.unit) for each in texts],
        *rows[1:],
        texts,
        looks,
        model.centres,
    )


@checked(size=1)
def pointing_accuracy(
    captions: Captions, corners: Int[np.ndarray, "num things 2"], size: int = DIGIT
) -> tuple[float, int]:
    """How often the attention peaks on the digit that is being named.

    The k-th digit word of a caption names the k-th thing of its image. It is a hit if the middle of
    the place with the largest weight lies within that thing.

    Args:
      captions: with their attention.
      corners: (row, column) in pixels of the upper left corner of each thing, in the order of the
        caption; -1 for none.
      size: height and width of a thing in pixels.

    Returns:
      (share of hits, how many words were judged); words beyond the number of things are misses.
    """
    if captions.attention is None:
        raise ValueError("pointing accuracy needs captions with attention=True.")
    corners = array(corners, "corners")
    if corners.ndim != 3 or corners.shape[::2] != (len(captions.tokens), 2):
        wanted = [len(captions.tokens), "things", 2]
        raise ValueError(
            f"corners must have shape {wanted}, rows and columns of each thing; got "
            f"{list(corners.shape)}."
        )
    hits = []
    for words, weights, places in zip(captions.tokens, captions.attention, corners, strict=True):
        named = [i for i, word in enumerate(words) if word in DIGIT_WORDS]
        for k, i in enumerate(named):
            peak = np.unravel_index(weights[i].argmax(), weights[i].shape)
            middle = np.array(
                [centres[place] for centres, place in zip(captions.centres, peak, strict=True)]
            )
            there = k < len(places) and places[k, 0] >= 0
            hits.append(
                there and bool(((middle >= places[k]) & (middle <= places[k] + size)).all())
            )
    return float(np.mean(hits)) if hits else 0.0, len(hits)
