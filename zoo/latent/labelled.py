"""Class labels as the context of a model that draws from noise."""

from typing import TYPE_CHECKING

import jax.numpy as jnp

from zoo.core.generative import Generative
from zoo.layers import class_labels


class Labelled(Generative):
    """A model that may be given the class of each example, as one-hot rows; without classes, nothing.

    A final subclass declares the field `num_classes`, 0 for a model without labels.
    """

    if TYPE_CHECKING:  # where it stands among the fields is for the subclass to say

        @property
        def num_classes(self) -> int: ...

    def encode(self, context):
        if context is None:
            return None
        return class_labels.one_hot(context, self.num_classes, jnp.float32)

    def why_invalid(self, context):
        return class_labels.why_invalid(context, self.num_classes)

    def example(self, batch):
        return super().example(batch)[0], class_labels.example(batch, self.num_classes)
