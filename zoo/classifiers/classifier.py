"""The base of all classifiers: labels are the sites, and what is classified is the context."""

from typing import ClassVar

import flax.linen as nn
from jaxtyping import Array, Float

from zoo.core.model import Autoregressive, site_params
from zoo.core.orderings import Ordering
from zoo.heads import Categorical, Head
from zoo.layers import image_context


class Classifier(Autoregressive):
    """Labels given pixels, p(x | c) = prod_t p(x_t | c).

    One site holds the label of an image, or of a sequence of frames; T sites hold one label for
    each of T frames. The prediction is the likeliest value of a site.

    A final subclass implements `params_of`: from pixels to the params of all sites. The fields of
    every classifier:

      site_shape: (1,), or (T,) for a label of each frame.
      image_shape: (height, width), or (height, width, 3) in colour.
      class_names: the name of each class; () for numbers.
      head: the distribution of a label, such as Categorical(10).
      ordering: of the labels.

    Example:
      >>> import zoo
      >>> issubclass(zoo.CNN, zoo.Classifier), zoo.CNN().kind
      (True, 'labels')
    """

    site_shape: tuple[int, ...] = (1,)
    image_shape: tuple[int, ...] = (28, 28)
    class_names: tuple[str, ...] = ()
    head: Head = Categorical(10)
    ordering: Ordering = Ordering()

    output_bias: ClassVar[str | None] = "bias"
    reads_frames: ClassVar[bool] = False
    """Whether the context is frames, [batch, frames, *image_shape], and not an image."""
    takes_glimpses: ClassVar[bool] = False
    """Whether the model looks at parts of its image one after the other: see `zoo.glimpse_centres`."""

    def params_of(self, images: Float[Array, "batch ..."]) -> Float[Array, "batch sites p"]:
        """The params of all sites.

        Args:
          images: brightness 0..1 of the pixels, [batch, height, width, channels]; of frames
            [batch, frames, height, width, channels].

        Returns:
          params [batch, num_sites, num_params].
        """
        raise NotImplementedError(f"{type(self).__name__} must define params_of.")

    def setup(self):
        """Checks the fields, and makes the bias of the params, whose dtype is that of all others."""
        self.check()
        self.bias = self.param("bias", nn.initializers.zeros, (self.head.num_params,))

    def check(self) -> None:
        """Raises ValueError unless labels are discrete, in a line of sites, and images are images."""
        name, shape = type(self).__name__, self.image_shape
        if len(self.site_shape) != 1 or self.head.num_values is None or self.head.event_shape:
            raise ValueError(
                f"{name} needs a site_shape (labels,) and a head for classes, such as "
                f"Categorical(10); got {self.site_shape}, {type(self.head).__name__}."
            )
        if len(shape) not in (2, 3) or shape[2:] not in ((), (1,), (3,)):
            raise ValueError(
                f"{name} needs an image_shape (height, width) or (height, width, 3); got {shape}."
            )
        names, classes = self.class_names, self.head.num_values
        if names and len(names) != classes:
            raise ValueError(f"{name} has {classes} classes and {len(names)} class_names.")

    def one_label(self) -> None:
        """Raises ValueError unless the model has one site."""
        if self.num_sites != 1:
            raise ValueError(
                f"{type(self).__name__} gives an image one label, site_shape (1,); got "
                f"{self.site_shape}."
            )

    @property
    def in_training(self) -> bool:
        """Whether dropout and the like are on: training passes the rng stream "train"."""
        return self.has_rng("train") and not self.is_initializing()

    def encode(self, context):
        *axes, _, _ = context.shape[: context.ndim - len(self.image_shape[2:])]
        images = context.reshape(*axes, *self.image_shape[:2], -1)  # grey: one channel
        return self.params_of(images.astype(self.bias.dtype) / 255)

    def __call__(self, x, memory=None, *, train=False):
        return memory

    def step(self, x, t, memory=None):
        return site_params(self, memory, t)

    @property
    def kind(self):
        return "labels"

    def why_invalid(self, context):
        return image_context.why_invalid(context, tuple(self.image_shape))

    def example(self, batch):
        return super().example(batch)[0], image_context.example((batch, *self.image_shape))
