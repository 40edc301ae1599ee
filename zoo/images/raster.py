"""The base of all image models: sites in raster order."""

from typing import TYPE_CHECKING, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from zoo.core.model import Autoregressive, Rank
from zoo.core.orderings import Ordering
from zoo.layers import class_labels


class Raster(Autoregressive):
    """An image visited row by row; in colour the sites of a pixel are its R, G and B in turn. A block
    of ranks is one row.

    A final subclass declares, beside the fields of every model, `num_classes`: the number of labels
    that it is conditional on, 0 for an unconditional model. It calls `check` in its `setup`.

    Example:
      >>> import zoo
      >>> issubclass(zoo.PixelCNN, zoo.Raster), zoo.PixelCNN((4, 6)).sites[:3].tolist()
      (True, [0, 1, 2])
    """

    joint: ClassVar[bool | None] = False  # whether one site may hold all colours of its pixel

    if TYPE_CHECKING:

        @property
        def num_classes(self) -> int: ...

    def check(self) -> None:
        """Raises ValueError unless the sites are an image, visited in raster order."""
        if len(self.site_shape) not in (2, 3) or self.site_shape[2:] not in ((), (3,)):
            raise ValueError(
                f"{type(self).__name__} needs a site_shape (height, width) or (height, width, "
                f"3); got {self.site_shape}."
            )
        if self.head.event_shape and not self.joint:
            raise ValueError(
                f"{type(self).__name__} takes scalars, a site for each colour: site_shape "
                "(height, width, 3); got a head whose values have shape "
                f"{self.head.event_shape}."
            )
        if self.ordering != Ordering():
            raise ValueError(f"{type(self).__name__} knows the raster only; got {self.ordering}.")

    @property
    def groups(self) -> int:
        """Sites of one pixel: the groups into which channels fall, one a colour."""
        return self.site_shape[2] if len(self.site_shape) == 3 else 1

    @property
    def block(self):
        return self.site_shape[1] * self.groups

    def row(self, t: Rank) -> Array:
        """The row of rank t."""
        return jax.lax.div(jnp.asarray(t, jnp.int32), jnp.int32(self.block))

    def place(self, t: Rank) -> tuple[Array, Array]:
        """The column of rank t, and its group."""
        place = jax.lax.rem(jnp.asarray(t, jnp.int32), jnp.int32(self.block))
        return jax.lax.div(place, jnp.int32(self.groups)), jax.lax.rem(
            place, jnp.int32(self.groups)
        )

    def image(self, x: Array) -> Float[Array, "batch height width channels"]:
        """Pixel values scaled to [-1, 1], channels last."""
        image = x.reshape(*x.shape[:3], -1).astype(jnp.float32)  # grey: one channel
        if self.head.num_values is None:
            return image
        return image * (2 / (self.head.num_values - 1)) - 1

    def why_invalid(self, context):
        return class_labels.why_invalid(context, self.num_classes)

    def example(self, batch):
        return super().example(batch)[0], class_labels.example(batch, self.num_classes)
