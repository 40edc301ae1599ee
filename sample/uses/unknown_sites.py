"""What a model says of each unknown site, given the known ones: p(x_s | known)."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, PyTree

import zoo
from sample.engines.completion import complete
from zoo.core.checks import kind
from zoo.foundation.arguments import array, checked
from zoo.heads import value_probabilities

AT_ONCE = 32  # draws whose conditionals are in memory


class Marginals(NamedTuple):
    """p(x_s = k | known) of each site s.

    Attributes:
      probabilities: of each level k, [*site_shape, levels]; 0 or 1 at known sites.
      draws: over how many draws they are averaged; 0 if one pass gives them exactly.

    Example:
      >>> import numpy as np
      >>> import sample
      >>> marginals = sample.Marginals(np.array([[0.25, 0.75], [1.0, 0.0]]), 0)
      >>> marginals.mean.tolist(), marginals.entropy.round(4).tolist()
      ([0.75, 0.0], [0.5623, 0.0])
    """

    probabilities: Float[np.ndarray, "*sites levels"]
    draws: int

    @property
    def mean(self) -> Float[np.ndarray, "*sites"]:
        """The mean level of each site."""
        return self.probabilities @ np.arange(self.probabilities.shape[-1])

    @property
    def entropy(self) -> Float[np.ndarray, "*sites"]:
        """The entropy of each site in nats."""
        p = self.probabilities
        return -(p * np.log(np.where(p > 0, p, 1))).sum(-1) + 0.0


@checked(num=1)
def marginals(
    model: zoo.Autoregressive,
    variables: zoo.Variables,
    key: Array,
    values: Any,
    known: Any,
    num: int = 256,
    *,
    context: PyTree = None,
) -> Marginals:
    """The posterior marginal p(x_s | known) of each unknown site.

    An order-agnostic model that reads any known sites (EoNADE) gives them in one pass, exactly. For
    every other model they are averaged over draws from the posterior:

        p(x_s | known) = E p(x_s | x_<s),    x ~ p(. | known)

    so the first unknown site is exact, and the error of the others falls as 1 / sqrt(num).

    Args:
      model: a model of single levels.
      variables: its variables.
      key: a key; consumed by draws.
      values: [*site_shape]; unknown entries are ignored.
      known: bool [*site_shape], as for `complete`.
      num: how many draws.
      context: what the model conditions on, with a leading axis of 1.

    Returns:
      Marginals.

    Raises:
      ValueError: the head is not of single levels, or an argument does not fit, as for `complete`.

    Example:
      >>> import jax, numpy as np
      >>> import sample, zoo
      >>> model = zoo.EoNADE((2, 3), hidden=4)
      >>> variables = zoo.init(model, jax.random.key(0), np.zeros((1, 2, 3), np.int32))
      >>> known = np.array([[False, True, False], [False, False, True]])
      >>> values = np.ones((2, 3), np.int32)
      >>> found = sample.marginals(model, variables, jax.random.key(1), values, known)
      >>> found.probabilities[0, 1].tolist(), found.draws
      ([0.0, 1.0], 0)
    """
    levels = model.head.num_values
    if levels is None or model.head.event_shape:
        raise ValueError(
            f"marginals are probabilities of single levels, but {kind(model)} has a "
            f"{type(model.head).__name__} head of "
            + ("real numbers." if levels is None else "whole pixels.")
        )
    values, known = array(values, "values"), array(known, "known")
    if values.shape != tuple(model.site_shape) or values.dtype.kind not in "biu":
        raise ValueError(
            f"values must be levels of shape {list(model.site_shape)}; got {values.dtype} of shape "
            f"{list(values.shape)}."
        )
    given = np.where(known, values, 0).astype(model.head.dtype)
    if type(model).params_given is not zoo.Autoregressive.params_given:
        params = zoo.conditionals_given(model, variables, given[None], known)
        found, draws = np.asarray(value_probabilities(model.head, params), np.float64)[0], 0
    else:
        found, draws = _averaged(model, variables, key, given, known, num, context), num
    one_hot = np.arange(levels) == given[..., None]
    return Marginals(np.where(known[..., None], one_hot, found), draws)


def _averaged(model, variables, key, values, known, num, context):
    """The mean of the conditionals over draws from the posterior."""
    repeated = jax.tree.map(lambda leaf: np.repeat(np.asarray(leaf), num, axis=0), context)
    drawn = complete(model, variables, key, num, values, known, context=repeated)
    model = model.with_known_first(known)
    total = np.zeros((*model.site_shape, model.head.num_values))
    for start in range(0, num, AT_ONCE):
        # The last batch repeats its last draw, so that one program serves all.
        rows = np.arange(start, start + min(AT_ONCE, num))
        x, given = jax.tree.map(
            lambda leaf: np.asarray(leaf)[np.minimum(rows, num - 1)],  # noqa: B023
            (drawn.x, repeated),
        )
        params = zoo.conditionals(model, variables, x, given)
        each = np.asarray(value_probabilities(model.head, params), np.float64)
        total += each[rows < num].sum(0)
    return total / num
