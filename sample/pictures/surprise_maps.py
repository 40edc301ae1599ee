"""Images above heat maps of their surprise."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

import zoo
from sample.media.pixels import as_images, image_shape
from sample.pictures.figures import new_figure
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
    """Writes a PNG file with rows of images, each above a row of heat maps, and a colour bar in
    nats.

    Args:
      path: the file.
      model: an image model.
      x: images [num, *site_shape, *event_shape].
      nats: the surprise of each site, [num, *site_shape]; the colours of a pixel are summed.
      columns: images per row; by default 8, or more so that the picture is about square.

    Returns:
      The path.

    Raises:
      ImportError: matplotlib is not installed.
      ValueError: the model does not describe images, or `nats` has another shape.

    Example:
      >>> import numpy as np
      >>> import sample, zoo
      >>> x, nats = np.zeros((2, 4, 4), np.int32), np.full((2, 4, 4), 0.7)
      >>> sample.save_surprise("maps.png", zoo.NADE((4, 4)), x, nats).name
      'maps.png'
    """
    height, width = image_shape(model)[:2]
    pictures = as_images(model, x)
    maps = array(nats, "nats").astype(np.float64)
    if maps.shape != (wanted := (len(pictures), *model.site_shape)):
        raise ValueError(
            f"nats must have shape {list(wanted)}, one for each site; got {list(maps.shape)}."
        )
    maps = maps.reshape(len(pictures), height, width, -1).sum(-1)  # colours of a pixel summed
    figure = new_figure(layout="constrained")
    scale = _scale(maps)
    heat = scale.to_rgba(maps.reshape(-1, width))[..., :3].reshape(*maps.shape, 3)
    columns = min(columns or max(8, math.ceil(math.sqrt(2 * len(pictures)))), len(pictures))
    sheet = _sheet(pictures, (heat * 255).astype(np.uint8), columns)
    num_rows = 2 * math.ceil(len(pictures) / columns)
    across = min(max(1.2 * columns, 4), 18)  # inches
    down = across * len(sheet) / sheet.shape[1]
    figure.set_size_inches(across + 1.6, down + 0.5)  # with room for the colour bar and the title
    axes = figure.subplots()
    axes.imshow(sheet, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(_title(maps.sum((1, 2))), fontsize=9)
    ends = "max" if maps.max() > scale.norm.vmax else "neither"
    shrink = min(1, 3 / num_rows + 0.3)
    figure.colorbar(scale, ax=axes, label="-log p of a pixel, nats", extend=ends, shrink=shrink)
    figure.savefig(path, dpi=120, format="png")
    return Path(path)


def _scale(maps):
    """Returns the colour scale of the maps."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    top = max(float(np.quantile(maps, 0.999)), 1e-6)  # one outlier must not darken all others
    return ScalarMappable(Normalize(0, top), "inferno")


def _sheet(pictures, heat, columns):
    """Returns rows of pictures, each above the row of its maps."""
    if pictures.ndim == 3:
        pictures = pictures[..., None].repeat(3, axis=-1)  # grey to RGB
    rows = []
    for first in range(0, len(pictures), columns):
        rows += [grid(each[first : first + columns], columns) for each in (pictures, heat)]
    return np.concatenate(rows)


def _title(totals):
    if len(totals) == 1:
        return f"{totals[0]:.1f} nats"
    return f"{totals.mean():.1f} nats per image, from {totals.min():.1f} to {totals.max():.1f}"
