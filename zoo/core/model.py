"""The contract: what every autoregressive model is, and what follows from it.

    p(x | c) = prod_t p(x[s_t] | x[s_<t], c)

A model gives all conditionals at once (`__call__`) and one at a time (`step`); everything else,
from likelihood to sampling, completion and coding, is derived here and in `sample` for every model
alike.
"""

from typing import TYPE_CHECKING

import flax.linen as nn  # noqa: F401 (the example)
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree, Shaped

from zoo.core.generative import Canvas, Generative, Values, Variables
from zoo.core.orderings import Ordering
from zoo.heads import Head, score  # noqa: F401 (the example has a head)

__all__ = ["Autoregressive", "Canvas", "Rank", "Values", "Variables", "site_params"]

Rank = Int[Array, ""] | int


class Autoregressive(Generative):
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
        def ordering(self) -> Ordering: ...

    needed = ("site_shape", "head", "ordering")
    knows = "exact"

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

    def log_likelihood(
        self, x: Canvas, memory: PyTree = None, *, train: bool = False
    ) -> Float[Array, " batch"]:
        """log p(x) = sum_t log p(x[s_t] | x[s_<t]), nats."""
        return score(self.head, self(x, memory, train=train), x)

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

    def with_orderings(self, count: int) -> "Autoregressive":
        """The model whose `members` are `count` orderings, if it was trained for all orderings.

        Raises:
          ValueError: it was not.
        """
        raise ValueError(
            f"{type(self).__name__} was not trained for all orderings of its sites, as an EoNADE "
            "is."
        )

    def with_known_first(self, known: np.ndarray) -> "Autoregressive":
        """An order-agnostic model visits the sites `known` (bool, [*site_shape]) first. By default:
        this model.
        """
        return self

    def params_given(
        self, x: Canvas, known: Bool[Array, "batch sites"]
    ) -> Float[Array, "batch sites num_params"]:
        """Params of every site given the `known` sites alone, in one pass, of an order-agnostic model
        that can do so; see `zoo.conditionals_given`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no params_given.")

    @property
    def sites(self) -> np.ndarray:
        """The flat site of every rank, int32 [num_sites]."""
        return self.ordering.sites(self.site_shape)


def site_params(model, params, t):
    """The params [batch, num_params] of the site at rank t, out of those of all sites."""
    return params.reshape(len(params), model.num_sites, -1)[:, jnp.asarray(model.sites)[t]]
