"""The root of all models: a distribution over arrays of sites, and what the model knows of it.

    exact   log p(x) itself                               zoo.log_prob, zoo.evidence
    bound   a lower bound of log p(x), by random draws    zoo.evidence
    none    how to draw x, and nothing of its likelihood

`zoo.Autoregressive` is the kind of model that factorises p(x) along an ordering. The others draw a
whole example at once from noise; their likelihood is labelled by what they know.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Array, Float, PyTree, Shaped

from zoo.core.output_bias import fitted_bias
from zoo.foundation.arguments import convert_fields
from zoo.foundation.limits import check_limits
from zoo.heads import (
    Bernoulli,
    Categorical,
    DiscretizedLogisticMixture,
    Head,
    MixtureOfGaussians,
    values_at,
)

Variables: TypeAlias = dict[str, Any]
Values = Shaped[Array | np.ndarray, "*batch_sites_and_event"]
Canvas = Shaped[Array, "batch *sites_and_event"]
Knows: TypeAlias = Literal["exact", "bound", "none"]


class Generative(nn.Module):
    """A distribution over arrays of sites, given by how an example is drawn.

    A final subclass declares two fields (or properties), hashable and JSON-able, so that the module
    is the whole configuration:

      site_shape: shape of the array of sites, such as (28, 28).
      head: the distribution of one site given its parameters.

    It says by `knows` what it knows of log p(x), and implements `draw` (or `values`), and one of
    `log_likelihood` (exact), `log_weights` (bound), `training_loss` (none).

    Noise comes from the rng stream "noise", in training also from "train". Every row of a draw has
    streams of its own, by (key, index) alone, so it is the same in every batch. Outside training,
    the rows of a batch must not see one another.

    Example:
      >>> import jax, jax.numpy as jnp, zoo
      >>> class Coin(zoo.Generative):
      ...     '''One hidden coin z decides how likely all bits are.'''
      ...     site_shape: tuple[int, ...] = (3,)
      ...     head: Head = zoo.Bernoulli()
      ...
      ...     def setup(self):
      ...         self.slope = self.param("slope", nn.initializers.ones, ())
      ...
      ...     def draw(self, memory, num):
      ...         return self._params(jax.random.normal(self.make_rng("noise"), (num,)))
      ...
      ...     def log_weights(self, x, memory, num):  # q(z | x) = p(z)
      ...         z = jax.random.normal(self.make_rng("noise"), (num, len(x)))
      ...         return zoo.score(self.head, self._params(z), x)
      ...
      ...     def _params(self, z):
      ...         return jnp.broadcast_to((self.slope * z)[..., None, None], (*z.shape, 3, 1))
      >>> model, x = Coin(), jnp.array([[0, 0, 1]])
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> bound = zoo.evidence(model, variables, x, key=jax.random.key(1), num=1000)
      >>> bool(-2.5 < bound[0] < -2.1)
      True
    """

    if TYPE_CHECKING:  # fields or properties, as a subclass likes

        @property
        def site_shape(self) -> tuple[int, ...]: ...
        @property
        def head(self) -> Head: ...

    needed: ClassVar[tuple[str, ...]] = ("site_shape", "head")
    """The fields that every model of this kind declares."""
    knows: ClassVar[Knows] = "bound"
    """What the model knows of log p(x)."""
    tightens: ClassVar[bool] = True
    """Whether more draws give a better bound, the log of their mean weight. If not, they make the
    mean of their logarithms more precise.
    """
    watched: ClassVar[str] = "loss"
    """What `watch` is."""
    keeps_best: ClassVar[bool] = True
    """Whether what is watched tells which weights are best; if not, the last are kept."""
    players: ClassVar[tuple[str, ...]] = ()
    """The submodules that are trained against each other."""
    joint: ClassVar[bool | None] = None
    """Whether one site may hold all colours of its pixel; None: what the head is made for."""
    streams: ClassVar[bool] = False
    """Whether training reads streams, the state carried from batch to batch (`zoo.begin`)."""
    attends: ClassVar[bool] = False
    """Whether the model can say where in its context it looks: see `zoo.attention_weights`."""
    writes_tokens: ClassVar[bool] = False
    """Whether the sites are tokens of a sequence that may end: the model has `start`, `end` and
    `pad`, which a beam search needs.
    """
    output_bias: ClassVar[str | None] = None
    """The path of the output's bias among the params, such as "readout/bias"; None without one."""
    encoder_fields: ClassVar[tuple[str, ...]] = ()
    """The fields that decide what the weights of its encoder mean; () without one."""

    def __init_subclass__(cls, **options):
        own = vars(cls)
        if "complaint" in own and "why_invalid" not in own:
            cls.why_invalid = own["complaint"]  # type: ignore[method-assign]
        elif "why_invalid" in own and "complaint" not in own:
            cls.complaint = own["why_invalid"]
        super().__init_subclass__(**options)

    def __post_init__(self):
        for name in self.needed:
            if not (name in vars(self) or hasattr(type(self), name)):
                fields = f"{', '.join(self.needed[:-1])} and {self.needed[-1]}"
                raise ValueError(
                    f"{type(self).__name__} lacks the field {name}: declare {fields} "
                    "(docs/adding_a_model.md)."
                )
        convert_fields(self)
        if not isinstance(shape := vars(self).get("site_shape", ()), tuple):
            raise ValueError(
                f"{type(self).__name__} needs a site_shape of sizes, such as (28, 28); got {shape!r}."
            )
        check_limits(self)
        super().__post_init__()

    def draw(self, memory: PyTree, num: int) -> Float[Array, "num *sites num_params"]:
        """Params of the head for each of `num` examples, from noise (rng stream "noise")."""
        raise NotImplementedError(f"{type(self).__name__} must define draw.")

    def values(self, memory: PyTree, num: int) -> Canvas:
        """`num` examples from noise: by default a value of the head at each site of `draw`."""
        params = self.draw(memory, num)
        shape = (*params.shape[:-1], self.head.uniforms)
        return self.head.quantile(params, jax.random.uniform(self.make_rng("noise"), shape))

    def log_likelihood(
        self, x: Canvas, memory: PyTree = None, *, train: bool = False
    ) -> Float[Array, " batch"]:
        """log p(x), nats, of a model that knows it exactly."""
        raise NotImplementedError(f"{type(self).__name__} must define log_likelihood.")

    def log_weights(self, x: Canvas, memory: PyTree, num: int) -> Float[Array, "num batch"]:
        """log p(x, z) - log q(z | x) for `num` draws of z from q: the mean of its exponential is
        p(x). Where a model does not tighten, any unbiased estimates of its bound.
        """
        raise NotImplementedError(f"{type(self).__name__} must define log_weights.")

    def bound(self, x: Canvas, memory: PyTree = None, num: int = 1) -> Float[Array, " batch"]:
        """A lower bound of log p(x) by `num` draws, nats: log of the mean of exp(log_weights)."""
        weights = self.log_weights(x, memory, num)
        if self.tightens:
            return jax.nn.logsumexp(weights, axis=0) - math.log(num)
        return weights.mean(0)

    def training_loss(self, x: Canvas, memory: PyTree = None) -> Float[Array, " batch"]:
        """What training minimises, of each example: -log p(x), or minus the bound, in nats (rng
        streams "train" and "noise").
        """
        if self.knows == "exact":
            return -self.log_likelihood(x, memory, train=True)
        if self.knows == "bound":
            return -self.bound(x, memory, self.draws)
        raise NotImplementedError(f"{type(self).__name__} must define training_loss.")

    @property
    def num_latents(self) -> int:
        """The size of a code; 0 without one."""
        return 0

    @property
    def draws(self) -> int:
        """How many draws of a bound training and validation take. By default 1."""
        return 1

    @property
    def loss_unit(self) -> str:
        """The unit of `training_loss`: `nats` of -log p(x) or of a bound of it, else `loss`."""
        return "loss" if self.knows == "none" else "nats"

    def watch(self, x: Canvas, memory: PyTree = None) -> Float[Array, " batch"]:
        """What validation reports of a model without a likelihood, a number an example."""
        return self.training_loss(x, memory)

    def trouble(self, watched: Sequence[float]) -> str | None:
        """Why a training goes wrong, by what validations have watched so far, or None."""
        return None

    def represent(self, x: Canvas, memory: PyTree = None) -> Float[Array, "batch latents"]:
        """The code of each example, of a model that has one; see `zoo.represent`."""
        raise NotImplementedError(f"{type(self).__name__} has no code.")

    def decode(
        self, z: Float[Array, "batch latents"], memory: PyTree = None
    ) -> Float[Array, "batch *sites num_params"]:
        """Params of the head for each code, of a model that has one; see `zoo.decode`."""
        raise NotImplementedError(f"{type(self).__name__} has no code.")

    def __call__(self, x: Canvas, memory: PyTree = None, *, train: bool = False) -> PyTree:
        """Uses every parameter once, which makes them: the loss of `x`, and params drawn."""
        return self.training_loss(x, memory), self.draw(memory, len(x))

    @classmethod
    def preferred_head(cls, num_levels: int | None, event_shape: tuple[int, ...] = ()) -> Head:
        """The head for data if the user chose none; a class overrides it to prefer another one.

        Args:
          num_levels: how many levels the values have; None for real numbers.
          event_shape: shape of one site's value, (3,) where a site holds all colours of a pixel.
        """
        if num_levels is None:
            return MixtureOfGaussians()
        if event_shape:
            return DiscretizedLogisticMixture(levels=num_levels, channels=event_shape[0])
        return Bernoulli() if num_levels == 2 else Categorical(num_levels)

    @classmethod
    def preferred_sizes(cls, num_examples: int) -> dict[str, int]:
        """The sizes, by field, that suit so many training examples, if the user chose none."""
        return {}

    def fitted(self, variables: Variables, x: Values) -> Variables:
        """Fresh variables, with `output_bias` started at the frequencies of the values `x` (of real
        numbers, at their mean and deviation); unchanged without an output bias.
        """
        if self.output_bias is None:
            return variables
        return fitted_bias(variables, self.output_bias, self.head, np.asarray(x))

    def encode(self, context: PyTree) -> PyTree:
        """What all sites need of the context, computed once per draw. By default: nothing."""
        return None

    def why_invalid(self, context: PyTree) -> str | None:
        """Returns an error message if `context` is invalid, else None; by default it takes none.

        `complaint` is another name of this method: a class that defines either has both.
        """
        return None if context is None else "it takes no context; pass context=None"

    complaint = why_invalid

    @property
    def kind(self) -> str:
        """The kind of thing that the model describes: images, table, text, sound, translation,
        captions or labels.

        By default `images` where levels form a picture, (height, width) or (height, width, 1 or 3),
        else `table`.
        """
        shape = (*self.site_shape, *self.head.event_shape)
        picture = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))
        return "images" if picture and self.head.num_values is not None else "table"

    def example(self, batch: int) -> tuple[Values, PyTree]:
        """A batch of valid inputs (x, context), the same every time. By default: values by the
        head, and no context.
        """
        shape = (batch, *self.site_shape)
        u = np.random.RandomState(0).uniform(size=(*shape, self.head.uniforms)).astype(np.float32)
        return values_at(self.head, np.zeros((*shape, self.head.num_params), np.float32), u), None

    def members(self) -> tuple[Any, ...]:
        """The models that these variables describe, whose mixture `ensemble_log_prob` scores. By
        default: this one.
        """
        return (self,)

    @property
    def log_jacobian(self) -> float:
        """log |det J| of the model's change of variables, added to log p(x); 0 without one."""
        return 0.0

    @property
    def num_sites(self) -> int:
        """The number of sites, prod(site_shape)."""
        return math.prod(self.site_shape)

    @property
    def num_dims(self) -> int:
        """The number of dimensions for bits/dim: sites times the dimensions of one site's value."""
        return math.prod((*self.site_shape, *self.head.event_shape))


def kind(model: Generative) -> str:
    """The name of its class, or of the model that it standardises: what a user chose."""
    return type(getattr(model, "model", model)).__name__
