"""Frames of samples while they are drawn, site by site (grey: not yet) or step by step."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool, UInt8

import zoo
from sample.engines.from_noise import expected_canvases
from sample.media.pixels import as_images, image_shape
from zoo.foundation.arguments import checked

GREY = 128  # the brightness of sites not drawn yet
AT_ONCE = 16  # images whose canvases are in memory


@checked()
def progress(
    model: zoo.Autoregressive, x: Any, frames: int = 60
) -> UInt8[np.ndarray, "frames num height width *channels"]:
    """Returns frames of images being drawn site by site, in the order of the model.

    A drawn site never changes: after t sites, a sample equals the final one at ranks below t. So
    the frames follow from the final samples, without sampling again.

    Args:
      model: an image model.
      x: its samples [num, *site_shape, *event_shape].
      frames: maximum number of frames, evenly spaced; fewer if there are fewer sites.

    Returns:
      uint8 [frames, num, height, width] or [frames, num, height, width, 3]; the first frame is
      empty, the last complete.

    Raises:
      ValueError: `frames` is below 2, or the model does not describe images.

    Example:
      >>> import numpy as np
      >>> import sample, zoo
      >>> x = np.ones((1, 1, 3), np.int32)
      >>> sample.progress(zoo.NADE((1, 3)), x)[:, 0, 0].tolist()
      [[128, 128, 128], [255, 128, 128], [255, 255, 128], [255, 255, 255]]
    """
    if frames < 2:
        raise ValueError(f"frames must be at least 2, an empty and a whole picture; got {frames}.")
    ranks = model.ordering.ranks(model.site_shape).reshape(model.site_shape)
    counts = np.linspace(0, model.num_sites, min(frames, model.num_sites + 1)).round()
    return np.stack([partly(model, x, ranks < count) for count in counts])


@checked(num=1)
def canvases(
    model: zoo.Generative, variables: zoo.Variables, key: Array, num: int, context: Any = None
) -> UInt8[np.ndarray, "frames num height width *channels"]:
    """Returns frames of images being drawn step by step, by a model such as DRAW.

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
    levels = np.concatenate(parts)[:num].swapaxes(0, 1)  # [frames, num, *sites]
    brightness = levels * (255 / max(model.head.num_values - 1, 1))
    return brightness.round().clip(0, 255).astype(np.uint8).reshape(*levels.shape[:2], *shape)


def partly(
    model: zoo.Autoregressive, x: Any, known: Bool[np.ndarray, "*sites"]
) -> UInt8[np.ndarray, "num height width *channels"]:
    """Converts values [num, *site_shape, *event_shape] to uint8 images, grey at sites that are not
    `known`.
    """
    pictures, shape = as_images(model, x), image_shape(model)
    known = known.reshape(*known.shape, *[1] * len(model.head.event_shape))
    seen = np.broadcast_to(known, (*model.site_shape, *model.head.event_shape)).reshape(shape)
    return np.where(seen[None], pictures, np.uint8(GREY))
