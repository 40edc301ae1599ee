"""Standardisation as part of the model, so that likelihoods and samples are those of the data as
given.
"""

import jax.numpy as jnp
import numpy as np

from zoo.core.model import Autoregressive
from zoo.core.orderings import Ordering
from zoo.foundation.arguments import convert_fields
from zoo.foundation.registry import register
from zoo.heads import Affine
from zoo.heads.mixtures import LEAST
from zoo.layers import at_ranks


@register
class Standardised(Autoregressive):
    """A model of z = (x - shift) / scale, seen as a model of x: log p(x) = log p_z(z) - sum_i log
    scale_i.

    It is a model like any other: samples, prefixes and nats are in the units of x, and `shift` and
      `scale` lie in the
    checkpoint with the rest of the configuration. They reach the head as two more params of each
    site.

    Attributes:
      model: the model of z; its head is for real numbers.
      shift: of every site, in row-major order, such as the means of the columns of the training
        data.
      scale: of every site, positive, such as their standard deviations.
    """

    model: Autoregressive
    shift: tuple[float, ...]
    scale: tuple[float, ...]

    def __post_init__(self):
        convert_fields(self)
        fit = len(self.shift) == len(self.scale) == self.model.num_sites
        if (
            not fit
            or not np.isfinite(self.shift).all()
            or not all(LEAST <= scale < np.inf for scale in self.scale)
        ):
            raise ValueError(
                "Standardised needs a finite shift and a positive scale for each of the "
                f"{self.model.num_sites} sites; "
                f"got {len(self.shift)} shifts, {len(self.scale)} scales, the least of them "
                f"{min(self.scale, default=None)}."
            )
        if self.model.head.num_values is not None:
            raise ValueError(
                "Standardised needs a model of real numbers; got a "
                f"{type(self.model.head).__name__} head."
            )
        super().__post_init__()

    @property
    def site_shape(self) -> tuple[int, ...]:
        return self.model.site_shape

    @property
    def ordering(self) -> Ordering:
        return self.model.ordering

    @property
    def head(self) -> "Affine":
        return Affine(self.model.head)

    @property
    def block(self) -> int:
        return self.model.block

    @property
    def log_jacobian(self) -> float:
        """log |dz / dx| = -sum_i log scale_i: what a log density of z gains when it is one of x."""
        return -float(np.log(np.asarray(self.scale, np.float64)).sum())

    @property
    def kind(self):
        return self.model.kind

    def example(self, batch):
        return self.model.example(batch)

    def encode(self, context):
        return self.model.encode(context)

    def why_invalid(self, context):
        return self.model.why_invalid(context)

    def __call__(self, x, memory=None, *, train=False):
        affine = self._affine.reshape(1, *self.site_shape, 2)
        return _join(affine, self.model(self._z(x), memory, train=train))

    def training_loss(self, x, memory=None):
        return self.model.training_loss(self._z(x), memory) - self.log_jacobian

    def enter(self, x, t, memory=None):
        self.model.enter(self._z(x), t, memory)

    def step(self, x, t, memory=None):
        return _join(
            at_ranks(self._affine, t, 1, self.sites, 0), self.model.step(self._z(x), t, memory)
        )

    def members(self):
        return tuple(self.clone(model=member) for member in self.model.members())

    def with_orderings(self, count):
        return self.clone(model=self.model.with_orderings(count))

    def with_known_first(self, known):
        return self.clone(model=self.model.with_known_first(known))

    @property
    def _affine(self):
        return jnp.stack([jnp.asarray(self.shift), jnp.log(jnp.asarray(self.scale))], axis=-1)

    def _z(self, x):
        shift, scale = (
            jnp.asarray(each).reshape(1, *self.site_shape) for each in (self.shift, self.scale)
        )
        return (x - shift) / scale


def _join(affine, params):
    """The two params of `Affine` before those of its head, in float32 whatever the network computes
    in.
    """
    return jnp.concatenate(
        [jnp.broadcast_to(affine, (*params.shape[:-1], 2)), params.astype(jnp.float32)], axis=-1
    )
