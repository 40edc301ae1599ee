"""The contract: what every autoregressive model is, and what follows from it.

    p(x | c) = prod_t p(x[s_t] | x[s_<t], c)

A model gives all conditionals at once (`__call__`) and one at a time (`step`); everything else,
from likelihood to sampling, completion and coding, is derived here and in `sample` for every model
alike.
"""

import math
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree, Shaped

from zoo.core.orderings import Ordering
from zoo.core.output_bias import fitted_bias
from zoo.foundation.arguments import convert_fields
from zoo.foundation.limits import check_limits
from zoo.heads import (
    Bernoulli,
    Categorical,
    DiscretizedLogisticMixture,
    Head,
    MixtureOfGaussians,
    checked_log_prob,
)

Variables: TypeAlias = dict[str, Any]
Canvas = Shaped[Array, "batch *sites_and_event"]
Values = Shaped[Array | np.ndarray, "*batch_sites_and_event"]
Rank = Int[Array, ""] | int


class Autoregressive(nn.Module):
    """A distribution over arrays of sites, factorised by the chain rule along an ordering.

    A final subclass declares three fields (or properties), all hashable and JSON-able, so that the
    module is the whole configuration: two equal models share one compiled function, and a
    checkpoint holds the model in a header.

      site_shape: shape of the array of sites, such as (28, 28).
      head: the distribution of one site given its parameters.
      ordering: the order in which the chain rule visits the sites.

    It implements `__call__`, and, to sample fast, `step` (with `enter` where work is better done
    for a whole block of `block` consecutive ranks, such as a row of pixels). What `step` and
    `enter` must remember from rank to rank is kept in the linen collection "cache", read by
    `get_variable(..., default=zeros)` and written by `put_variable`: a cache begins as zeros.
    Activations follow the dtype of the parameters; heads compute in float32.

    Example:
      >>> import jax, zoo
      >>> class Independent(Autoregressive):
      ...     '''Each site has its own logit and depends on no other.'''
      ...     site_shape: tuple[int, ...] = (2, 2)
      ...     head: Head = zoo.Bernoulli()
      ...     ordering: Ordering = Ordering()
      ...
      ...     @nn.compact
      ...     def __call__(self, x, memory=None, *, train=False):
      ...         logits = self.param("logits", nn.initializers.zeros, (*self.site_shape, 1))
      ...         return jnp.broadcast_to(logits, (len(x), *logits.shape))
      >>> model, x = Independent(), jnp.zeros((3, 2, 2), jnp.int32)
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> round(float(zoo.log_prob(model, variables, x)[0]), 4)  # -4 ln 2
      -2.7726
    """

    if TYPE_CHECKING:  # fields or properties, as a subclass likes

        @property
        def site_shape(self) -> tuple[int, ...]: ...
        @property
        def head(self) -> Head: ...
        @property
        def ordering(self) -> Ordering: ...

    def __init_subclass__(cls, **options):
        own = vars(cls)
        if "complaint" in own and "why_invalid" not in own:
            cls.why_invalid = own["complaint"]  # type: ignore[method-assign]
        elif "why_invalid" in own and "complaint" not in own:
            cls.complaint = own["why_invalid"]
        super().__init_subclass__(**options)

    def __post_init__(self):
        for name in ("site_shape", "head", "ordering"):
            if not (name in vars(self) or hasattr(type(self), name)):
                raise ValueError(
                    f"{type(self).__name__} lacks the field {name}: declare site_shape, head and "
                    "ordering (docs/adding_a_model.md)."
                )
        convert_fields(self)
        if not isinstance(shape := vars(self).get("site_shape", ()), tuple):
            raise ValueError(
                f"{type(self).__name__} needs a site_shape of sizes, such as (28, 28); got {shape!r}."
            )
        check_limits(self)
        super().__post_init__()

    def __call__(
        self, x: Canvas, memory: PyTree = None, *, train: bool = False
    ) -> Float[Array, "..."]:
        """All conditionals under teacher forcing.

        Args:
          x: values [batch, *site_shape, *event_shape].
          memory: what `encode` made of the context.
          train: whether dropout, mask resampling and the like are on (they take the rng stream
            "train").

        Returns:
          params [batch, *site_shape, num_params]: those at rank t depend on `x` at ranks < t only.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define __call__: all conditionals at once."
        )

    joint: ClassVar[bool | None] = None
    """Whether one site may hold all colours of its pixel; None: a site holds what the head is made
    for.
    """
    streams: ClassVar[bool] = False
    """Whether training reads streams, the state carried from batch to batch: see `zoo.begin`."""
    attends: ClassVar[bool] = False
    """Whether the model can say where in its context it looks: see `zoo.attention_weights`."""
    writes_tokens: ClassVar[bool] = False
    """Whether the sites are tokens of a sequence that may end: the model has `start`, `end` and
    `pad`, which a beam search needs.
    """
    output_bias: ClassVar[str | None] = None
    """The path of the output's bias among the params, such as "readout/bias"; None without one."""
    encoder_fields: ClassVar[tuple[str, ...]] = ()
    """The fields that decide what the weights of its encoder mean; () for a model without an
    encoder.
    """

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

    def fitted(self, variables: Variables, x: Values) -> Variables:
        """Fresh variables, with `output_bias` started at the frequencies of the values `x` (of real
        numbers, at their mean and deviation); unchanged without an output bias.
        """
        if self.output_bias is None:
            return variables
        return fitted_bias(variables, self.output_bias, self.head, np.asarray(x))

    def training_loss(self, x: Canvas, memory: PyTree = None) -> Float[Array, " batch"]:
        """What training minimises, nats: -log p(x) in training mode, or an unbiased estimate (rng
        stream "train").
        """
        return -score(self.head, self(x, memory, train=True), x)

    def encode(self, context: PyTree) -> PyTree:
        """What all sites need (of a label, an image, the weights), computed once per draw. By
        default: nothing.
        """
        return None

    def why_invalid(self, context: PyTree) -> str | None:
        """Returns an error message if `context` is invalid, else None.

        By default the model takes no context. `complaint` is another name of this method: a class
        that defines either of the two has both.
        """
        return None if context is None else "it takes no context; pass context=None"

    complaint = why_invalid

    def enter(self, x: Canvas, t: Rank, memory: PyTree = None) -> None:
        """Work for the `block` ranks that begin at rank t, before the first of them. By default:
        nothing.
        """

    def step(self, x: Canvas, t: Rank, memory: PyTree = None) -> Float[Array, "batch num_params"]:
        """Parameters of the site at rank t, given `x` at ranks < t; all other entries of `x` are
        arbitrary.

        Ranks are visited in order, each once, so `step` may keep a cache. By default: site t of the
          whole network.
        """
        return site_params(self, self(x, memory), t)

    @property
    def has_prefill(self) -> bool:
        """Whether the class defines `prefill`; without one, `step` reads a prefix rank by rank."""
        return type(self).prefill is not Autoregressive.prefill

    @property
    def prefills(self) -> bool:
        """The former name of `has_prefill`."""
        return self.has_prefill

    def prefill(
        self, x: Shaped[Array, "batch ranks"], memory: PyTree = None
    ) -> Float[Array, "batch ranks num_params"]:
        """Takes the values of the first ranks in one pass: their params, and a cache with which
        `step` goes on.
        """
        raise NotImplementedError(f"{type(self).__name__} has no prefill.")

    @property
    def block(self) -> int:
        """How many consecutive ranks share one `enter`: all of them unless a model says otherwise."""
        return self.num_sites

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
        return self.head.quantile(jnp.zeros((*shape, self.head.num_params)), jnp.asarray(u)), None

    def members(self) -> tuple["Autoregressive", ...]:
        """The models that these variables describe, whose mixture `ensemble_log_prob` scores. By
        default: this one.
        """
        return (self,)

    def with_orderings(self, count: int) -> "Autoregressive":
        """The model whose `members` are `count` orderings, if it was trained for all orderings.

        Raises:
          ValueError: it was not.
        """
        raise ValueError(
            f"{type(self).__name__} was not trained for all orderings of its sites, as an EoNADE "
            "is."
        )

    @property
    def log_jacobian(self) -> float:
        """log |det J| of the model's change of variables, added to log p(x); 0 without one."""
        return 0.0

    def with_known_first(self, known: np.ndarray) -> "Autoregressive":
        """An order-agnostic model visits the sites `known` (bool, [*site_shape]) first. By default:
        this model.
        """
        return self

    @property
    def num_sites(self) -> int:
        """The number of sites, prod(site_shape)."""
        return math.prod(self.site_shape)

    @property
    def num_dims(self) -> int:
        """The number of dimensions for bits/dim: sites times the dimensions of one site's value."""
        return math.prod((*self.site_shape, *self.head.event_shape))

    @property
    def sites(self) -> np.ndarray:
        """The flat site of every rank, int32 [num_sites]."""
        return self.ordering.sites(self.site_shape)


def score(head, params, x):
    """Nats [batch]: the log probability of the sites of each example, summed."""
    nats = checked_log_prob(head, params, x)
    return nats.sum(tuple(range(1, nats.ndim)))


def site_params(model, params, t):
    """The params [batch, num_params] of the site at rank t, out of those of all sites."""
    return params.reshape(len(params), model.num_sites, -1)[:, jnp.asarray(model.sites)[t]]
