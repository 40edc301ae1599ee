"""The resolutions of PixelCNN++, each nested in the next finer one.

While drawing (scale_rows.py) a coarse pixel is computed once, with the first of the 2 x 2 fine
pixels that it covers.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from zoo.images.gated_resnet import GatedResnet, ResnetWeights
from zoo.layers.conv_weights import Image
from zoo.layers.convolutions import HiddenConv, RowsAbove


class CoarserWeights(NamedTuple):
    """The weights between a resolution and the next coarser one, normalised once for a whole draw.

    Each is a kernel and a bias; `shrink_ul` has two kernels, [2 features, features]: of the row
    above, and of the row itself.
    """

    shrink_u: tuple[Array, Array]
    shrink_ul: tuple[Array, Array, Array]
    enlarge_u: tuple[Array, Array]
    enlarge_ul: tuple[Array, Array]
    scale: Any


class ScaleWeights(NamedTuple):
    """The weights of a `Scale`, normalised once for a whole draw.

    Attributes:
      down, up: of the resnets on either way.
      above: of all resnets, the kernels of ul for what is known before a row begins, [resnets,
        6 features, features] and [resnets, 4 features, 2 features].
      left: of all resnets, the kernels of ul at the pixel to the left, [resnets, 2 features,
        features] and [resnets, 2 features, 2 features].
      coarser: the weights below; None at the coarsest resolution.
    """

    down: list[ResnetWeights]
    up: list[ResnetWeights]
    above: tuple[Array, ...]
    left: tuple[Array, ...]
    coarser: CoarserWeights | None


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

    def encode(self, label: Float[Array, "batch classes"] | None) -> ScaleWeights:
        """The weights of a draw, with the biases that the label gives."""
        down, up = ([resnet.encode(label) for resnet in way] for way in (self.down, self.up))
        above, left = (
            tuple(jnp.stack(kernels) for kernels in zip(*pairs, strict=True))
            for pairs in ([w.above for w in down + up], [w.left for w in down + up])
        )
        if not self.num_coarser:
            return ScaleWeights(down, up, above, left, None)
        kernels = self.shrink_ul.kernel.reshape(2, -1, self.features)
        shrink = (self.shrink_u.kernel, self.shrink_u.bias), (*kernels, self.shrink_ul.bias)
        return ScaleWeights(down, up, above, left, self.coarser.encode(label, *shrink))

    def __call__(
        self, u: Image, ul: Image, memory: ScaleWeights, train: bool
    ) -> tuple[Image, Image]:
        """Both streams, [batch, height, width, features] of this resolution."""
        skips = [(u, ul)]
        for resnet, weights in zip(self.down, memory.down, strict=True):
            skips.append(resnet(*skips[-1], (), weights, train))
        if memory.coarser is not None:
            u, ul = skips[-1]
            shrunk = self.shrink_u(u), self.shrink_ul(ul)
            u, ul = self.coarser(*shrunk, memory.coarser.scale, train, u.shape)
        else:
            u, ul = skips.pop()
        for resnet, weights in zip(self.up, memory.up, strict=True):
            u, ul = resnet(u, ul, skips.pop(), weights, train)
        return u, ul


class CoarserScales(nn.Module):
    """The coarser resolutions as the next finer one sees them: enlarged.

    A coarse pixel becomes 2 x 2 fine ones by a 1x1 convolution to four times the channels, which
    are then laid out.

    Attributes:
      scale: the next coarser resolution, with the others nested in it.
    """

    scale: Scale

    def setup(self):
        f = self.scale.features
        self.enlarge_u, self.enlarge_ul = (HiddenConv(f, 4 * f, init_std=1.0) for _ in range(2))

    def encode(self, label: Any, shrink_u: Any, shrink_ul: Any) -> CoarserWeights:
        """The weights of a draw."""
        u, ul = ((each.kernel[0, 0], each.bias) for each in (self.enlarge_u, self.enlarge_ul))
        return CoarserWeights(shrink_u, shrink_ul, u, ul, self.scale.encode(label))

    def __call__(
        self, u: Image, ul: Image, memory: ScaleWeights, train: bool, shape: tuple[int, ...]
    ) -> tuple[Image, Image]:
        """Both streams at the finer resolution; `shape` is [batch, height, width, ...] there."""

        def lay_out(y):
            batch, height, width, _ = y.shape
            y = y.reshape(batch, height, width, 2, 2, -1).swapaxes(2, 3)
            y = y.reshape(batch, 2 * height, 2 * width, -1)
            return y[:, : shape[1], : shape[2]]  # of an odd size the last row or column is cut

        u, ul = self.scale(u, ul, memory, train)
        return lay_out(self.enlarge_u(u)), lay_out(self.enlarge_ul(ul))
