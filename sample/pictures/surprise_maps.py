"""Images beside a map of what surprises the model in them."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

import zoo
from sample.media.pixels import as_images, image_shape
from sample.pictures.grids import grid
from zoo.foundation.arguments import array, checked


@checked(columns=1)
def save_surprise(
    path: str | os.PathLike,
    model: zoo.Autoregressive,
    x: Any,
    nats: Any,
    columns: int | None = None,
) -> Path:
    """Writes a PNG with rows of images, each above the row of its heat maps, and a colour bar in
    nats.

    Args:
      path: the file.
      model: an image model.
      x: images [num, *site_shape, *event_shape].
      nats: the surprise of each site, [num, *site_shape]; those of the colours of a pixel are added
        up.
      columns: images in a row; by default 8, or so many that the picture is about square.

    Raises:
      ImportError: matplotlib is not installed.
      ValueError: the model describes no images.
    """
    try:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(
            "this picture needs matplotlib: pip install 'autoregressive-zoo[plots]'."
        ) from None
    height, width = image_shape(model)[:2]
    pictures = as_images(model, x)
    maps = array(nats, "nats").astype(np.float64)
    if maps.shape != (wanted := (len(pictures), *model.site_shape)):
        raise ValueError(
            f"nats must have shape {list(wanted)}, one for each site; got {list(maps.shape)}."
        )
    maps = maps.reshape(len(pictures), height, width, -1).sum(-1)
    top = max(float(np.quantile(maps, 0.999)), 1e-6)  # one freak pixel shall not darken all others
    scale = ScalarMappable(Normalize(0, top), "inferno")
    heat = (
        (scale.to_rgba(maps.reshape(-1, width))[..., :3] * 255)
        .astype(np.uint8)
        .reshape(*maps.shape, 3)
    )
    if pictures.ndim == 3:
        pictures = pictures[..., None].repeat(3, axis=-1)

    columns = min(columns or max(8, math.ceil(math.sqrt(2 * len(pictures)))), len(pictures))
    rows = []
    for first in range(0, len(pictures), columns):
        rows += [grid(each[first : first + columns], columns) for each in (pictures, heat)]
    sheet = np.concatenate(rows)
    across = min(
        max(1.2 * columns, 4), 18
    )  # inches, as down and the room for the colour bar and the title are
    down = across * len(sheet) / sheet.shape[1]
    figure = Figure(figsize=(across + 1.6, down + 0.5), layout="constrained")
    axes = figure.subplots()
    axes.imshow(sheet, interpolation="nearest")
    axes.set_axis_off()
    totals = maps.sum((1, 2))
    spread = f" an image, from {totals.min():.1f} to {totals.max():.1f}" if len(totals) > 1 else ""
    axes.set_title(f"{totals.mean():.1f} nats{spread}", fontsize=9)
    ends = "max" if maps.max() > top else "neither"
    figure.colorbar(
        scale,
        ax=axes,
        label="-log p of a pixel, nats",
        extend=ends,
        shrink=min(1, 3 / len(rows) + 0.3),
    )
    figure.savefig(path, dpi=120, format="png")
    return Path(path)
