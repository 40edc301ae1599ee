"""Standardised values of models that draw from noise."""

import flax.linen as nn
import numpy as np

from zoo.core.generative import Generative
from zoo.dense.standardised import ChangeOfVariables, join
from zoo.foundation.registry import register


@register
class StandardisedGenerative(ChangeOfVariables):
    """A model of z = (x - shift) / scale that draws from noise, used as a model of x.

        log p(x) = log p_z((x - shift) / scale) - sum_i log scale_i

    What is known of log p_z is then known of log p: itself, a bound, or nothing. Draws and nats are
    in the units of x; the loss of a model without a likelihood, and what it is watched by, stay
    those of z. Variables are those of `model`.

    Attributes:
      model: the model of z; its head is for real numbers.
      shift: of every site, in row-major order, such as the means of the columns of the training
        data.
      scale: of every site, positive, such as their standard deviations.
      column_names: of every site, if the data name them; () if not.

    Raises:
      ValueError: shift or scale do not fit the sites, or the head is for levels.

    Example:
      >>> import jax, numpy as np, zoo
      >>> inner = zoo.VAE((2,), latents=1, hidden=(4,), head=zoo.MixtureOfGaussians(2))
      >>> model = zoo.StandardisedGenerative(inner, shift=(1.0, 2.0), scale=(0.5, 2.0))
      >>> x = np.array([[0.5, 2.0], [1.5, 6.0]], np.float32)
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> z, key = (x - np.float32([1.0, 2.0])) / np.float32([0.5, 2.0]), jax.random.key(1)
      >>> of_z = zoo.evidence(inner, variables, z, key=key)
      >>> np.round(zoo.evidence(model, variables, x, key=key) - of_z, 4) + 0  # -log(0.5 * 2)
      Array([0., 0.], dtype=float32)
    """

    model: Generative
    shift: tuple[float, ...]
    scale: tuple[float, ...]

    def setup(self):
        nn.share_scope(self, self.model)

    def draw(self, memory, num):
        return join(self.affine_by_site, self.model.draw(memory, num))

    def values(self, memory, num):
        return self.x(self.model.values(memory, num))

    def log_likelihood(self, x, memory=None, *, train=False):
        return self.model.log_likelihood(self.z(x), memory, train=train) + self.log_jacobian

    def log_weights(self, x, memory, num):
        return self.model.log_weights(self.z(x), memory, num) + self.log_jacobian

    def training_loss(self, x, memory=None):
        loss = self.model.training_loss(self.z(x), memory)
        return loss if self.knows == "none" else loss - self.log_jacobian

    def watch(self, x, memory=None):
        return self.model.watch(self.z(x), memory)

    def represent(self, x, memory=None):
        return self.model.represent(self.z(x), memory)

    def decode(self, z, memory=None):
        return join(self.affine_by_site, self.model.decode(z, memory))

    def __call__(self, x, memory=None, *, train=False):
        return self.model(self.z(x), memory, train=train)

    def fitted(self, variables, x):
        return self.model.fitted(variables, np.asarray(self.z(np.asarray(x, np.float32))))


def _of_model(name):
    return property(lambda self: getattr(self.model, name), doc=f"`{name}` of the model of z.")


for _name in (
    "knows",
    "tightens",
    "watched",
    "keeps_best",
    "players",
    "output_bias",
    "num_latents",
    "draws",
):
    setattr(StandardisedGenerative, _name, _of_model(_name))
