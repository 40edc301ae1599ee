"""Frames of samples while they are drawn; sites not drawn yet are grey."""

from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

import zoo
from sample.media.pixels import as_images, image_shape
from zoo.foundation.arguments import checked

GREY = 128  # the brightness of sites not drawn yet


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
