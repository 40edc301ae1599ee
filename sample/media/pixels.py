"""Converts values of an image model to uint8 images."""

import os
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, UInt8

import zoo
from sample.engines.from_noise import expected_canvases
from sample.engines.sampler import draw
from zoo.core.checks import kind
from zoo.formats.arrays import cast
from zoo.foundation.arguments import array, checked

AT_ONCE = 16  # images whose canvases are in memory


@checked(num=1)
def images(
    source: str | os.PathLike | tuple[zoo.Generative, zoo.Variables],
    num: int = 64,
    key: Array | None = None,
    **options: Any,
) -> UInt8[np.ndarray, "num height width *channels"]:
    """Draws images, ready for display.

    Args:
      source: a checkpoint, a run's folder, a model's name, or a pair (model, variables).
      num: number of images.
      key: a key, consumed; `jax.random.key(0)` if None.
      **options: as for `draw`: context, prefix, engine, batch_size.

    Returns:
      uint8 [num, height, width], or [num, height, width, 3] in colour; 0 is black, 255 white.

    Raises:
      ValueError: the model does not describe images, or an option does not fit it.

    Example:
      >>> import jax, numpy as np
      >>> import sample, zoo
      >>> model = zoo.FVSBN((3, 5))
      >>> variables = zoo.init(model, jax.random.key(0), np.zeros((1, 3, 5), np.int32))
      >>> pictures = sample.images((model, variables), num=2)
      >>> pictures.shape, pictures.dtype.name, sorted(set(pictures.ravel().tolist()))
      ((2, 3, 5), 'uint8', [0, 255])
    """
    model, variables = zoo.open(source)
    image_shape(model)
    key = jax.random.key(0) if key is None else key
    return as_images(model, draw(model, variables, key, num, **options).x)


@checked(num=1)
def canvases(
    model: zoo.Generative, variables: zoo.Variables, key: Array, num: int, context: Any = None
) -> UInt8[np.ndarray, "frames num height width *channels"]:
    """Returns frames of images being drawn step by step, by a model with a method
    `canvases(memory, num)`, such as DRAW.

    Args:
      model: an image model that draws in steps.
      variables: its variables.
      key: the key that `sample.draw` is given for the same images.
      num: how many images.
      context: as for `sample.draw`, leading axis `num`.

    Returns:
      uint8 [frames, num, height, width] or [frames, num, height, width, 3]: the expected brightness
      of each pixel before the first step and after each one. `sample.draw` draws the pixels from
      the last.

    Raises:
      ValueError: the model does not describe images or does not draw in steps, or an argument does
        not fit it.

    Example:
      >>> import jax
      >>> import sample, zoo
      >>> model = zoo.DRAW((4, 5), glimpses=3, latents=2, features=4)
      >>> variables = zoo.init(model, jax.random.key(0), *model.example(1))
      >>> sample.canvases(model, variables, jax.random.key(1), num=2).shape
      (4, 2, 4, 5)
    """
    shape = image_shape(model)
    parts = []
    for start in range(0, num, AT_ONCE):
        # The surplus rows are copies of the last image, and are cut off again.
        rows = np.minimum(np.arange(start, start + min(num, AT_ONCE), dtype=np.uint32), num - 1)
        given = jax.tree.map(lambda leaf: np.asarray(leaf)[rows], context)  # noqa: B023
        parts.append(np.asarray(expected_canvases(model, variables, key, rows, given)))
    expected = np.concatenate(parts)[:num].swapaxes(0, 1)  # [frames, num, *sites]
    brightness = expected * (255 / max(len(levels(model)) - 1, 1))
    return brightness.round().astype(np.uint8).reshape(*expected.shape[:2], *shape)


@checked()
def as_images(model: zoo.Generative, x: Any) -> UInt8[np.ndarray, "num height width *channels"]:
    """Converts values of an image model to uint8 images; its levels are spread over 0..255.

    Args:
      model: an image model.
      x: values [num, *site_shape, *event_shape].

    Returns:
      uint8 [num, height, width], or [num, height, width, 3] in colour.

    Raises:
      ValueError: the model does not describe images, or `x` has another shape or other values.

    Example:
      >>> import numpy as np
      >>> import sample, zoo
      >>> model = zoo.NADE((1, 3), head=zoo.Categorical(3))
      >>> sample.as_images(model, np.array([[[0, 1, 2]]])).tolist()
      [[[0, 127, 255]]]
    """
    image_shape(model)
    x, bright = cast(array(x, "x"), np.int64, "x"), levels(model)
    event = (*model.site_shape, *model.head.event_shape)
    if x.shape[1:] != event:
        raise ValueError(
            f"{kind(model)}: x must have shape [num, {', '.join(map(str, event))}]; got "
            f"{list(x.shape)}."
        )
    if x.size and not 0 <= x.min() <= x.max() < len(bright):
        raise ValueError(
            f"{kind(model)} has levels 0..{len(bright) - 1}; got values from {x.min()} to "
            f"{x.max()}."
        )
    pixels = bright[x]
    return pixels[..., 0] if pixels.shape[3:] == (1,) else pixels


def image_shape(model: zoo.Generative) -> tuple[int, ...]:
    """Returns (height, width) of the images that a model draws, captions or labels, or (height,
    width, 3) in colour.

    Raises:
      ValueError: the model does not describe images.
    """
    if model.kind in ("captions", "labels"):
        return tuple(model.image_shape)
    shape = (*model.site_shape, *model.head.event_shape)
    if model.kind != "images":
        raise ValueError(
            f"{kind(model)} with sites and values of shape {shape} does not describe images."
        )
    return shape[:2] if shape[2:] == (1,) else shape


def levels(model: zoo.Generative) -> UInt8[np.ndarray, " num_values"]:
    """Returns the brightness 0..255 of each level of an image model."""
    num_values = model.head.num_values
    assert num_values is not None, "an image model has levels"
    return (np.arange(num_values) * 255 // (num_values - 1)).astype(np.uint8)
