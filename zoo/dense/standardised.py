"""Standardised: a change of variables as part of the model, so that nats are those of the data."""

import jax.numpy as jnp
import numpy as np

from zoo.core.generative import Generative
from zoo.core.model import Autoregressive
from zoo.core.orderings import Ordering
from zoo.foundation.arguments import convert_fields
from zoo.foundation.registry import register
from zoo.heads import Affine
from zoo.heads.mixtures import LEAST
from zoo.layers import at_ranks


class ChangeOfVariables(Generative):
    """A model of z = (x - shift) / scale, used as a model of x: what all kinds of models share.

    Attributes:
      model: the model of z; its head is for real numbers.
      shift: of every site, in row-major order.
      scale: of every site, positive.
      column_names: of every site, if the data name them; () if not.

    Raises:
      ValueError: shift or scale do not fit the sites, or the head is for levels.
    """

    model: Generative
    shift: tuple[float, ...]
    scale: tuple[float, ...]
    column_names: tuple[str, ...] = ()

    def __post_init__(self):
        convert_fields(self)
        if self.column_names and len(self.column_names) != self.model.num_sites:
            raise ValueError(
                f"{type(self).__name__} needs a name for each of the {self.model.num_sites} sites, or "
                f"none; got {len(self.column_names)}."
            )
        fit = len(self.shift) == len(self.scale) == self.model.num_sites
        if (
            not fit
            or not np.isfinite(self.shift).all()
            or not all(LEAST <= scale < np.inf for scale in self.scale)
        ):
            raise ValueError(
                f"{type(self).__name__} needs a finite shift and a positive scale for each of the "
                f"{self.model.num_sites} sites; "
                f"got {len(self.shift)} shifts, {len(self.scale)} scales, the least of them "
                f"{min(self.scale, default=None)}."
            )
        if self.model.head.num_values is not None:
            raise ValueError(
                f"{type(self).__name__} needs a model of real numbers; got a "
                f"{type(self.model.head).__name__} head."
            )
        super().__post_init__()

    @property
    def site_shape(self) -> tuple[int, ...]:
        return self.model.site_shape

    @property
    def head(self) -> "Affine":
        return Affine(self.model.head)

    @property
    def log_jacobian(self) -> float:
        """log |dz / dx| = -sum_i log scale_i, which turns a log density of z into one of x."""
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

    @property
    def affine(self):
        """shift and log scale of every site, [num_sites, 2]."""
        return jnp.stack([jnp.asarray(self.shift), jnp.log(jnp.asarray(self.scale))], axis=-1)

    @property
    def affine_by_site(self):
        """The same, [1, *site_shape, 2], one row for the batch."""
        return self.affine.reshape(1, *self.site_shape, 2)

    def z(self, x):
        """The standardised values, of the shape of `x`."""
        shift, scale = self._shift_and_scale
        return (x - shift) / scale

    def x(self, z):
        """The values in their own units, of the shape of `z`."""
        shift, scale = self._shift_and_scale
        return shift + scale * z

    @property
    def _shift_and_scale(self):
        return (jnp.asarray(each).reshape(1, *self.site_shape) for each in (self.shift, self.scale))


@register
class Standardised(ChangeOfVariables, Autoregressive):
    """A model of z = (x - shift) / scale, used as a model of x.

        log p(x) = log p_z((x - shift) / scale) - sum_i log scale_i

    Samples, prefixes and nats are in the units of x. A checkpoint holds `shift` and `scale` with the
    other fields. They reach the head as two more params of each site, see `zoo.heads.Affine`.

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
      >>> inner = zoo.RNADE((2,), hidden=4)
      >>> model = zoo.Standardised(inner, shift=(1.0, 2.0), scale=(0.5, 2.0))
      >>> x = np.array([[0.5, 2.0], [1.5, 6.0]], np.float32)
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> z = (x - np.float32([1.0, 2.0])) / np.float32([0.5, 2.0])
      >>> of_z = zoo.log_prob(inner, {"params": variables["params"]["model"]}, z)
      >>> np.round(zoo.log_prob(model, variables, x) - of_z, 4) + 0  # -log(0.5 * 2)
      Array([0., 0.], dtype=float32)
    """

    model: Autoregressive
    shift: tuple[float, ...]
    scale: tuple[float, ...]

    @property
    def ordering(self) -> Ordering:
        return self.model.ordering

    @property
    def block(self) -> int:
        return self.model.block

    def fitted(self, variables, x):
        inner = {name: tree["model"] for name, tree in variables.items()}
        z = np.asarray(self.z(jnp.asarray(x, jnp.float32)))
        return {name: {"model": tree} for name, tree in self.model.fitted(inner, z).items()}

    def __call__(self, x, memory=None, *, train=False):
        return join(self.affine_by_site, self.model(self.z(x), memory, train=train))

    def training_loss(self, x, memory=None):
        return self.model.training_loss(self.z(x), memory) - self.log_jacobian

    def enter(self, x, t, memory=None):
        self.model.enter(self.z(x), t, memory)

    def step(self, x, t, memory=None):
        affine = at_ranks(self.affine, t, 1, self.sites, 0)  # [1, 2]
        return join(affine, self.model.step(self.z(x), t, memory))

    def members(self):
        return tuple(self.clone(model=member) for member in self.model.members())

    def with_orderings(self, count):
        return self.clone(model=self.model.with_orderings(count))

    def with_known_first(self, known):
        return self.clone(model=self.model.with_known_first(known))


def join(affine, params):
    """The params of `Affine` [..., 2 + num_params]: its own two, then those of its head.

    In float32, even where the network computes in bfloat16: a shift may be large.
    """
    affine = jnp.broadcast_to(affine, (*params.shape[:-1], 2))
    return jnp.concatenate([affine, params.astype(jnp.float32)], axis=-1)
