"""The resolutions of PixelCNN++, each nested in the next finer one.

While drawing, a coarse pixel is computed once, with the first of the 2 x 2 fine pixels that it
covers; the finer resolution reads it for all four. The nesting makes the conditionals few: one in
each resolution skips everything below it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from zoo.images.gated_resnet import GatedResnet, Pixel, Row
from zoo.layers.conv_weights import Image
from zoo.layers.convolutions import HiddenConv, RowsAbove


class Scale(nn.Module):
    """A resolution: resnets on the way down, the coarser resolutions, resnets on the way up.

    Attributes:
      features, blocks, dropout, num_classes: as of the model.
      num_coarser: how many resolutions are nested in this one.
    """

    features: int
    blocks: int
    num_coarser: int
    dropout: float
    num_classes: int

    def setup(self):
        f, rest = self.features, (self.dropout, self.num_classes)
        # On the way up a resnet for every activation kept on the way down.
        ups = self.blocks + (self.num_coarser > 0)
        self.down = [GatedResnet(f, False, *rest) for _ in range(self.blocks)]
        self.up = [GatedResnet(f, True, *rest) for _ in range(ups)]
        if self.num_coarser:
            self.shrink_u = RowsAbove(f, f, 3, strict=False, stride=2, init_std=1.0)
            self.shrink_ul = HiddenConv(f, f, (3, 3), right=False, stride=2, init_std=1.0)
            next_scale = Scale(f, self.blocks, self.num_coarser - 1, *rest)
            self.coarser = CoarserScales(next_scale, name="below")

    def encode(self, label: Float[Array, "batch classes"] | None) -> Any:
        """The biases of all resnets: on the way down, on the way up, and of the coarser scales."""
        down, up = ([resnet.encode(label) for resnet in way] for way in (self.down, self.up))
        return down, up, self.coarser.scale.encode(label) if self.num_coarser else None

    def __call__(self, u: Image, ul: Image, memory: Any, train: bool) -> tuple[Image, Image]:
        """Both streams, [batch, height, width, features] of this resolution."""
        down, up, below = memory
        skips = [(u, ul)]
        for resnet, biases in zip(self.down, down, strict=True):
            skips.append(resnet(*skips[-1], (), biases, train))
        if self.num_coarser:
            u, ul = skips[-1]
            u, ul = self.coarser(self.shrink_u(u), self.shrink_ul(ul), below, train, u.shape)
        else:
            u, ul = skips.pop()
        for resnet, biases in zip(self.up, up, strict=True):
            u, ul = resnet(u, ul, skips.pop(), biases, train)
        return u, ul

    def enter(self, u: Row, row: Array, memory: Any) -> Row:
        """u of the next row, and what is known of ul before the row's first pixel."""
        down, up, below = memory
        skips = [u]
        for resnet, biases in zip(self.down, down, strict=True):
            skips.append(resnet.enter(skips[-1], None, biases))
        if self.num_coarser:
            u = skips[-1]
            width, batch, _ = u.shape
            shrunk = self.shrink_u.enter(u)  # [ceil(width / 2), batch, features]
            self.shrink_ul.enter(width, batch)
            begins_row = row % 2 == 0
            self.coarser.cond_apply(begins_row, CoarserScales.enter, shrunk, row // 2, below)
            u = self.coarser.u_at(row, width)
        else:
            u = skips.pop()
        for resnet, biases in zip(self.up, up, strict=True):
            u = resnet.enter(u, skips.pop(), biases)
        return u

    def step(self, ul: Pixel, row: Array, column: Array) -> Pixel:
        """ul of the next pixel."""
        skips = [ul]
        for resnet in self.down:
            skips.append(resnet.step(skips[-1], None, column))
        if self.num_coarser:
            shrunk = self.shrink_ul.step(skips[-1], column, 0)
            begins_pixel = (row % 2 == 0) & (column % 2 == 0)
            coarse = (row // 2, column // 2)
            self.coarser.cond_apply(begins_pixel, CoarserScales.step, shrunk, *coarse)
            ul = self.coarser.ul_at(row, column)
        else:
            ul = skips.pop()
        for resnet in self.up:
            ul = resnet.step(ul, skips.pop(), column)
        return ul


class Enlarged(NamedTuple):
    """The cache of `CoarserScales`: one coarse row, enlarged.

    Attributes:
      u: of the two fine rows that it covers, [2, 2 * coarse width, batch, features].
      ul: for each coarse pixel the 2 x 2 fine ones side by side, [coarse width, batch,
        4 features]; a row of pixels is filled as they are drawn.
    """

    u: Float[Array, "2 width batch features"]
    ul: Float[Array, "coarse_width batch four_features"]


class CoarserScales(nn.Module):
    """The coarser resolutions as the next finer one sees them: enlarged.

    A coarse pixel becomes 2 x 2 fine ones by a 1x1 convolution to four times the channels, which
    are then laid out. While drawing, coarse pixels are computed only where they begin
    (`cond_apply`), and kept for the fine pixels that they cover.

    Attributes:
      scale: the next coarser resolution, with the others nested in it.
    """

    scale: Scale

    def setup(self):
        f = self.scale.features
        self.enlarge_u, self.enlarge_ul = (HiddenConv(f, 4 * f, init_std=1.0) for _ in range(2))

    def __call__(
        self, u: Image, ul: Image, memory: Any, train: bool, shape: tuple[int, ...]
    ) -> tuple[Image, Image]:
        """Both streams at the finer resolution; `shape` is [batch, height, width, ...] there."""

        def lay_out(y):
            batch, height, width, _ = y.shape
            y = y.reshape(batch, height, width, 2, 2, -1).swapaxes(2, 3)
            y = y.reshape(batch, 2 * height, 2 * width, -1)
            return y[:, : shape[1], : shape[2]]  # of an odd size the last row or column is cut

        u, ul = self.scale(u, ul, memory, train)
        return lay_out(self.enlarge_u(u)), lay_out(self.enlarge_ul(ul))

    def enter(self, u: Row, row: Array, memory: Any) -> None:
        """Starts a coarse row: keeps u of the two fine rows that it covers, and room for ul."""
        y = self.enlarge_u(self.scale.enter(u, row, memory)[None])[0]  # [width, batch, 4 features]
        width, batch, _ = y.shape
        y = y.reshape(width, batch, 2, 2, -1).transpose(2, 0, 3, 1, 4)  # [2, width, 2, batch, f]
        room = jnp.zeros((width, batch, 4 * u.shape[-1]), u.dtype)
        kept = Enlarged(y.reshape(2, 2 * width, batch, -1), room)
        self.put_variable("cache", "enlarged", kept)
        self.enlarge_ul.enter(width, batch)

    def step(self, ul: Pixel, row: Array, column: Array) -> None:
        """Computes a coarse pixel: keeps ul of the 2 x 2 fine pixels that it covers."""
        y = self.enlarge_ul.step(self.scale.step(ul, row, column), column, 0)  # [batch, 4 features]
        kept: Enlarged = self.get_variable("cache", "enlarged")
        row_of_ul = jax.lax.dynamic_update_slice(kept.ul, y[None], (column, 0, 0))
        self.put_variable("cache", "enlarged", kept._replace(ul=row_of_ul))

    def u_at(self, row: Array, width: int) -> Row:
        """u of a fine row."""
        kept: Enlarged = self.get_variable("cache", "enlarged")
        return jax.lax.dynamic_index_in_dim(kept.u, row % 2, 0, keepdims=False)[:width]

    def ul_at(self, row: Array, column: Array) -> Pixel:
        """ul of a fine pixel."""
        kept: Enlarged = self.get_variable("cache", "enlarged")
        ul = kept.ul
        _, batch, four_features = ul.shape
        size = four_features // 4
        quarter = row % 2 * 2 + column % 2  # of the 2 x 2 pixels, row by row
        return jax.lax.dynamic_slice(ul, (column // 2, 0, quarter * size), (1, batch, size))[0]

    def cond_apply(self, here: Array, method: Callable[..., None], *args: Any) -> None:
        """`method(self, *args)` if `here`, otherwise nothing: one conditional around all resolutions
        below.

        `nn.cond` passes this module and its cache to the branch that is taken. It hands the cache
        through in place, so no row buffer is copied. Both branches must leave the same variables
        behind; before the cache has them (its shape is traced so) the method is always called.
        """
        if not self.has_variable("cache", "enlarged"):
            method(self, *args)
        else:
            nn.cond(here, method, _skip, self, *args)


def _skip(module: CoarserScales, *args: Any) -> None:
    """The branch of `cond_apply` that computes nothing."""
