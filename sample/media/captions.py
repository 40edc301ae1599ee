"""Captions of images, with the attention for every word."""

import os
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

import zoo
from sample.engines.conditional import BATCH, attention_of, generate
from zoo.formats import vocabulary
from zoo.foundation.arguments import array, checked, shown

DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGIT = 28  # pixels


class Captions(NamedTuple):
    """Captions of images.

    Attributes:
      texts: the captions.
      log_prob: log p of each caption under the model in nats, including its end, [num].
      ended: True if a caption has an end token, False if it was cut at the maximum length, [num].
      tokens: the tokens of each caption.
      attention: for each caption, the attention weights of each token over the grid, [tokens, rows,
        columns], summing to 1 per token. None unless requested.
      centres: the centre of each row and each column of the grid, in pixels.

    Example:
      >>> import numpy as np
      >>> import sample
      >>> centres = np.array([14.0]), np.array([14.0, 42.0])
      >>> made = sample.Captions(
      ...     ["two"], np.array([-0.1]), np.ones(1, bool), [["two"]], None, centres
      ... )
      >>> made.texts, bool(made.ended.all())
      (['two'], True)
    """

    texts: list[str]
    log_prob: Float[np.ndarray, " num"]
    ended: Bool[np.ndarray, " num"]
    tokens: list[list[str]]
    attention: list[np.ndarray] | None
    centres: tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " columns"]]


@checked(beam=1, length_penalty=0, batch_size=1)
def caption(
    source: str | os.PathLike | tuple[zoo.Generative, zoo.Variables],
    images: Any,
    beam: int | None = 5,
    attention: bool = False,
    *,
    length_penalty: float = 1.0,
    key: Array | None = None,
    batch_size: int = BATCH,
) -> Captions:
    """Captions each image by the likeliest text that a beam search finds, or by a sample.

    Args:
      source: a checkpoint, a run's folder, a model's name, or a pair (model, variables).
      images: integers 0..255 [num, height, width(, 3)], or a list of such images; `read_pixels`
        reads them from files.
      beam: hypotheses that the search keeps; 1 is greedy. None draws an exact sample instead.
      attention: whether to return the attention weights.
      length_penalty: see `search`.
      key: the key of the samples, consumed; `jax.random.key(0)` if None.
      batch_size: number of images that the model reads at once.

    Returns:
      Captions, one text per image, with log_prob [num] in nats.

    Raises:
      ValueError: there are no images or they have another size; the model does not describe
        images, or has no vocabulary or no attention; or an option is out of range.

    Example:
      >>> import jax, numpy as np
      >>> import sample, zoo
      >>> words = ("<pad>", "<end>", "<unk>", "one", "two")
      >>> model = zoo.ShowAttendTell(
      ...     (4,), 5, 3, end=1, pad=0, vocabulary=words, head=zoo.Categorical(5),
      ...     image_shape=(8, 8), channels=(3,), halvings=1,
      ... )
      >>> variables = zoo.init(model, jax.random.key(0), *model.example(1))
      >>> images = np.zeros((2, 8, 8), np.uint8)
      >>> made = sample.caption((model, variables), images, beam=2, attention=True)
      >>> len(made.texts), made.attention[0].shape[1:]
      (2, (4, 4))
    """
    model: Any
    model, variables = zoo.open(source)
    if model.kind != "captions":
        raise ValueError(f"{type(model).__name__} does not describe images.")
    if not model.vocabulary:
        raise ValueError(
            f"this {type(model).__name__} has no vocabulary; train it on images with captions."
        )
    context = _stacked(model, images)
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
            each[: len(out)].reshape(len(out), *model.grid)
            for each, out in zip(weights, texts, strict=True)
        ]
    return Captions(
        [vocabulary.joined(each, model.unit) for each in texts],
        *output[1:],
        texts,
        maps,
        model.centres,
    )


def _stacked(model: Any, images: Any) -> np.ndarray:
    """Images as one array [num, *image_shape]; ValueError unless each has the model's shape."""
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
    return np.stack(images)


@checked(size=1)
def pointing_accuracy(
    captions: Captions, corners: Int[np.ndarray, "num things 2"], size: int = DIGIT
) -> tuple[float, int]:
    """Measures how often the attention peaks on the digit that a word names.

    The k-th digit word of a caption names the k-th object of its image. It is a hit if the centre
    of the grid cell with the largest weight lies within that object.

    Args:
      captions: captions with attention.
      corners: (row, column) in pixels of the upper left corner of each object, in the order of the
        caption, int [num, objects, 2]; -1 where there is no object.
      size: height and width of an object in pixels.

    Returns:
      (share of hits, number of digit words); words beyond the number of objects are misses.

    Raises:
      ValueError: the captions have no attention, or `corners` has another shape.

    Example:
      >>> import numpy as np
      >>> import sample
      >>> attention = [np.array([[[0.1, 0.9]]])]  # one token, a grid of 1 x 2 cells
      >>> centres = np.array([14.0]), np.array([14.0, 42.0])
      >>> made = sample.Captions(
      ...     ["two"], np.zeros(1), np.ones(1, bool), [["two"]], attention, centres
      ... )
      >>> sample.pointing_accuracy(made, np.array([[[0, 28]]]))
      (1.0, 1)
    """
    if captions.attention is None:
        raise ValueError("pointing accuracy needs captions with attention=True.")
    corners = array(corners, "corners")
    if corners.ndim != 3 or corners.shape[::2] != (len(captions.tokens), 2):
        wanted = [len(captions.tokens), "objects", 2]
        raise ValueError(
            f"corners must have shape {wanted}, the row and column of each object; got "
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
