"""Labels of images or frames, with the probability of every class."""

import os
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

import zoo
from sample.engines.conditional import BATCH
from zoo.core.checks import kind
from zoo.foundation.arguments import array, checked
from zoo.heads import value_probabilities


class Labels(NamedTuple):
    """Predicted labels.

    Attributes:
      labels: the likeliest class of each site, [num, sites].
      probabilities: of each class, [num, sites, classes]; they sum to 1.
      names: the name of each class.

    Example:
      >>> import numpy as np
      >>> import sample
      >>> made = sample.Labels(np.array([[1]]), np.array([[[0.25, 0.75]]]), ("cat", "dog"))
      >>> made.texts()
      ['dog (75.0 %)']
    """

    labels: Int[np.ndarray, "num sites"]
    probabilities: Float[np.ndarray, "num sites classes"]
    names: tuple[str, ...]

    def texts(self) -> list[str]:
        """The labels of each example in words, with their probabilities."""
        return [
            ", ".join(
                f"{self.names[label]} ({100 * share[label]:.1f} %)"
                for label, share in zip(labels, shares, strict=True)
            )
            for labels, shares in zip(self.labels, self.probabilities, strict=True)
        ]


@checked(batch_size=1)
def classify(
    source: str | os.PathLike | tuple[zoo.Generative, zoo.Variables],
    images: Any,
    *,
    batch_size: int = BATCH,
) -> Labels:
    """Labels images, or sequences of frames.

    Args:
      source: a checkpoint, a run's folder, a model's name, or a pair (model, variables).
      images: integers 0..255 [num, height, width(, 3)], or frames [num, frames, height, width(,
        3)]; `read_pixels` reads images from files.
      batch_size: number of images that the model reads at once.

    Returns:
      The likeliest label of each, and the probability of every class.

    Raises:
      ValueError: the model gives no labels, or the images have another size.

    Example:
      >>> import jax, numpy as np
      >>> import sample, zoo
      >>> model = zoo.CNN(image_shape=(4, 4), channels=(3,), halvings=1, head=zoo.Categorical(3))
      >>> variables = zoo.init(model, jax.random.key(0), *model.example(1))
      >>> made = sample.classify((model, variables), np.zeros((5, 4, 4), np.uint8))
      >>> made.labels.shape, made.probabilities.shape, made.names
      ((5, 1), (5, 1, 3), ('0', '1', '2'))
    """
    model, variables = zoo.open(source)
    if model.kind != "labels":
        raise ValueError(f"{kind(model)} gives no labels: it describes {model.kind}.")
    context = array(images, "images")
    zoo.check_context(model, context)
    if not len(context):
        raise ValueError("there are no images to classify.")
    shares = np.concatenate(
        [
            _probabilities(model, variables, context[start : start + batch_size])
            for start in range(0, len(context), batch_size)
        ]
    )
    return Labels(shares.argmax(-1), shares, names_of(model))


def names_of(model: zoo.Generative) -> tuple[str, ...]:
    """The names of the classes of a model; their numbers if it has no names."""
    classes = model.head.num_values
    assert classes is not None, "labels are discrete"
    return getattr(model, "class_names", ()) or tuple(map(str, range(classes)))


def _probabilities(model, variables, context):
    # Labels do not depend on each other, or on those before them at the likeliest of these.
    x = np.zeros((len(context), model.num_sites), model.head.dtype)
    params = zoo.conditionals(model, variables, x, context)
    return np.asarray(value_probabilities(model.head, params))
