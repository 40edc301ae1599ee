"""Mixtures of models: the honest way to average over orderings, masks or runs."""

import math
from collections.abc import Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from zoo.core.generative import Generative, Values, Variables
from zoo.core.likelihood import log_prob
from zoo.foundation.arguments import shown
from zoo.foundation.precision import without_x64


@without_x64
def ensemble_log_prob(
    models: Generative | Iterable[Generative],
    variables: Variables | Sequence[Variables],
    x: Values,
    context: PyTree = None,
) -> Float[Array, " batch"]:
    """Log likelihood of the uniform mixture: log (1/K) sum_k p_k(x), nats per example.

    Probabilities of whole examples are averaged. Averaging logits or conditionals over orderings is
    no likelihood.

    Args:
      models: its K members, such as `[made.member(k) for k in range(made.num_masks)]`, or the model
        that has them.
      variables: those of all members, or one for each.
      x: values [batch, *site_shape, *event_shape].
      context: what the members condition on.

    Raises:
      ValueError: no members, or not as many variables as members.

    Example:
      >>> import jax, numpy as np, zoo
      >>> model = zoo.MADE((2, 2), hidden=(8,))
      >>> x = np.array([[[0, 1], [1, 0]], [[1, 1], [0, 0]]])
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> both = zoo.ensemble_log_prob([model, model], [variables, variables], x)
      >>> bool(np.allclose(both, zoo.log_prob(model, variables, x), atol=1e-5))
      True
    """
    listed = isinstance(models, Iterable) and not hasattr(models, "dtype")
    if not (listed or isinstance(models, Generative)) or not isinstance(
        variables, Mapping | Sequence
    ):
        raise ValueError(
            "an ensemble needs a model with members, or a list of models, and the variables of "
            "all or a list of them; "
            f"got {shown(models)}, {shown(variables)}."
        )
    models = list(models.members() if isinstance(models, Generative) else models)
    each = [variables] * len(models) if isinstance(variables, Mapping) else list(variables)
    if not models or len(each) != len(models):
        raise ValueError(
            f"an ensemble needs one set of variables a member; got {len(models)} models, "
            f"{len(each)} sets."
        )
    members = [
        log_prob(model, member, x, context) for model, member in zip(models, each, strict=True)
    ]
    return jax.nn.logsumexp(jnp.stack(members), axis=0) - math.log(len(members))
