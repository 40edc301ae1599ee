"""The base of caption models: the encoder of the image."""

from typing import ClassVar

import numpy as np
from jaxtyping import Array, Float

from zoo.conditional.encoder_decoder import EncoderDecoder
from zoo.layers import image_context
from zoo.layers.image_context import GridEncoder


class ImageDescriber(EncoderDecoder):
    """p(caption | image): a convolutional encoder maps the image, integers 0..255 [batch, height,
    width(, 3)], to a grid of features.

    The weights of the encoder (params "encoder") do not depend on the size of the images.

    Attributes: those of `EncoderDecoder`, and
      image_shape: (height, width), or (height, width, 3) in colour.
      channels: of each convolution.
      halvings: how many convolutions, the first ones, halve height and width.

    Example:
      >>> import zoo
      >>> issubclass(zoo.Captioner, zoo.ImageDescriber)
      True
    """

    encoder_fields: ClassVar[tuple[str, ...]] = ("channels", "halvings")

    image_shape: tuple[int, ...] = (64, 64)
    channels: tuple[int, ...] = (32, 64, 128, 128)
    halvings: int = 3

    def setup(self):
        fit = len(self.image_shape) in (2, 3) and 0 <= self.halvings <= len(self.channels)
        if not fit or not self.channels:
            raise ValueError(
                f"{type(self).__name__} needs an image_shape (height, width) or (height, width, "
                "3), at least one layer of channels and halvings of at most its "
                f"{len(self.channels)} layers; got {self.image_shape}, {self.halvings}."
            )
        super().setup()
        self.encoder = GridEncoder(self.channels, self.halvings)

    @property
    def width(self):
        return self.channels[-1]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the grid of features."""
        rows, columns = (-(-size // 2**self.halvings) for size in self.image_shape[:2])
        return rows, columns

    @property
    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        """The centres of the grid's receptive fields in the image, in pixels: of each row, and of
        each column.
        """
        axes = []
        for size in self.image_shape[:2]:
            step, first = 1, 0.5
            for _ in range(self.halvings):
                # With an even size, a stride of 2 starts at the second pixel.
                first += step * (size % 2 == 0)
                step, size = 2 * step, -(-size // 2)
            axes.append(first + step * np.arange(size))
        return axes[0], axes[1]

    def features_of(self, context: Array) -> Float[Array, "batch places d"]:
        """The features of every place of the grid, row by row."""
        images = context.reshape(len(context), *self.image_shape[:2], -1)  # grey: one channel
        grid = self.encoder(images.astype(self.embed.dtype) / 255)  # [batch, rows, columns, d]
        return grid.reshape(len(grid), -1, self.width)

    def why_invalid(self, context):
        return image_context.why_invalid(context, tuple(self.image_shape))

    @property
    def kind(self):
        return "captions"

    def example(self, batch):
        return super().example(batch)[0], image_context.example((batch, *self.image_shape))
