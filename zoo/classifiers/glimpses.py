"""Glimpses of an image: concentric square patches of growing size, each averaged to as many cells."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def cell_overlaps(
    centre: Float[Array, " batch"], cells: int, width: float, size: int
) -> Float[Array, "batch cells size"]:
    """How much of each cell of a patch lies on each pixel, along one axis.

    A patch is `cells` cells of `width` pixels around `centre`; pixel p covers [p, p + 1]. Cell i
    has the weight |cell i and pixel p| / width on pixel p: with that, a matmul is the mean of the
    image over every cell. What lies outside the image weighs nothing, as if zeros were there. The
    mean changes continuously with the centre (for width 1 it is linear interpolation).

    Example:
      >>> import jax.numpy as jnp
      >>> cell_overlaps(jnp.array([1.5]), cells=2, width=1.0, size=4).tolist()
      [[[0.5, 0.5, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0]]]
    """
    offsets = (jnp.arange(cells, dtype=jnp.float32) - cells / 2) * width
    start = (centre[:, None] + offsets[None])[..., None]  # [batch, cells, 1]
    pixels = jnp.arange(size, dtype=jnp.float32)[None, None]
    overlap = jnp.minimum(start + width, pixels + 1) - jnp.maximum(start, pixels)
    return jnp.clip(overlap, 0, 1) / width


def glimpse(
    images: Float[Array, "batch channels height width"],
    centres: Float[Array, "batch 2"],
    cells: int,
    scales: int,
) -> Float[Array, "batch values"]:
    """What is seen around a point: `scales` patches of cells x cells values each.

    Patch s has a side of cells * 2^s pixels, and its values are means over 2^s x 2^s pixels.

    Args:
      images: the images, channels first.
      centres: (row, column) of each centre, in pixels; (0, 0) is the upper left corner.
      cells: of a side of each patch.
      scales: the number of patches.

    Returns:
      all values, scales * channels * cells^2 of each image.

    Example:
      >>> import jax.numpy as jnp
      >>> image = jnp.arange(16.0).reshape(1, 1, 4, 4)
      >>> glimpse(image, jnp.array([[2.0, 2.0]]), cells=2, scales=2).tolist()
      [[5.0, 6.0, 9.0, 10.0, 2.5, 4.5, 10.5, 12.5]]
    """
    batch, channels, height, width = images.shape
    zooms = [2.0**s for s in range(scales)]
    down = [cell_overlaps(centres[:, 0], cells, zoom, height) for zoom in zooms]
    across = [cell_overlaps(centres[:, 1], cells, zoom, width) for zoom in zooms]
    # Rows first: one matmul for all scales, [batch, channels, scales * cells, width].
    rows = jnp.concatenate(down, axis=1)[:, None] @ images
    rows = rows.reshape(batch, channels, scales, cells, width)
    values = jnp.einsum("bcsiw,bsjw->bscij", rows, jnp.stack(across, axis=1))
    return values.reshape(batch, -1)
