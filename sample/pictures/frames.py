"""How a sample comes about: the picture after so many sites, with what is not drawn yet in grey."""

from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

import zoo
from sample.media.pixels import as_images, image_shape
from zoo.foundation.arguments import checked

GREY = 128  # of sites that are not drawn yet


@checked()
def progress(
    model: zoo.Autoregressive, x: Any, frames: int = 60
) -> UInt8[np.ndarray, "frames num height width *channels"]:
    """Images being drawn site by site, in the order of the model.

    An exact sample grows only at its end: what stood after t sites is the final sample at ranks <
      t. So no second
    sampling is needed.

    Args:
      model: an image model.
      x: its samples [num, *site_shape, *event_shape].
      frames: how many frames at most; evenly spaced, or one after each site where that is fewer.

    Returns:
      uint8 [frames, num, height, width] or [frames, num, height, width, 3]: nothing drawn in the
      first, all in the last.

    Raises:
      ValueError: fewer than 2 frames, or a model that describes no images.
    """
    if frames < 2:
        raise ValueError(f"frames must be at least 2, an empty and a whole picture; got {frames}.")
    ranks = model.ordering.ranks(model.site_shape).reshape(model.site_shape)
    counts = np.linspace(0, model.num_sites, min(frames, model.num_sites + 1)).round()
    return np.stack([partly(model, x, ranks < count) for count in counts])


def partly(
    model: zoo.Autoregressive, x: Any, known: Bool[np.ndarray, "*sites"]
) -> UInt8[np.ndarray, "num height width *channels"]:
    """Values [num, *site_shape, *event_shape] as uint8 images, in grey where a site is not `known`."""
    pictures, shape = as_images(model, x), image_shape(model)
    known = known.reshape(*known.shape, *[1] * len(model.head.event_shape))
    seen = np.broadcast_to(known, (*model.site_shape, *model.head.event_shape)).reshape(shape)
    return np.where(seen[None], pictures, np.uint8(GREY))
