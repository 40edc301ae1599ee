"""Paths of glimpses over an image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float


def draw_path(axes: Any, centres: Float[np.ndarray, "glimpses 2"], sides: Sequence[int]) -> None:
    """Draws glimpses over an image that `imshow` put into matplotlib axes.

    A line joins the centres in their order, with a dot at the last; around each is a box for every
    scale. Colours go from dark (the first glimpse) to bright.

    Args:
      axes: of an image in pixels.
      centres: (row, column) in pixels, where pixel p covers [p, p + 1].
      sides: the side of the patch of each scale, in pixels.
    """
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    # `imshow` has the centre of pixel p at p.
    rows, columns = centres.T - 0.5
    colours = colormaps["plasma"](np.linspace(0.25, 0.95, len(centres)))
    axes.autoscale(False)  # boxes may reach over the border
    for row, column, colour in zip(rows, columns, colours, strict=True):
        for side in sides:
            corner = (column - side / 2, row - side / 2)
            axes.add_patch(Rectangle(corner, side, side, fill=False, color=colour, linewidth=1))
    axes.plot(columns, rows, color="white", linewidth=1)
    axes.plot(columns[-1:], rows[-1:], "o", color=colours[-1], markersize=4)
