"""What holds for every model: fresh variables, what it knows of log p(x), the training loss."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from zoo.core.arrays import variable_shapes
from zoo.core.checks import check_batch, check_inputs, check_knows, key_needed
from zoo.core.generative import Generative, Values, Variables
from zoo.core.model import Autoregressive
from zoo.foundation.arguments import checked
from zoo.foundation.limits import check_memory
from zoo.foundation.precision import full_float32, narrowed, without_x64


@checked()
@without_x64
def init(model: Generative, key: Array, x: Values, context: PyTree = None) -> Variables:
    """Fresh variables for `model`, shaped by an example batch. The key is consumed. Raises as
    `log_prob`.

    Example:
      >>> import jax, numpy as np, zoo
      >>> variables = zoo.init(zoo.NADE((2, 2), hidden=3), jax.random.key(0), np.zeros((1, 2, 2), int))
      >>> jax.tree.map(np.shape, variables["params"]["inward"])
      (4, 1, 3)
    """
    check_batch(model, x, context)
    check_memory(model, variable_shapes(model, context, len(x)), "its variables")
    params_key, train_key = jax.random.split(key)
    return _init(model, {"params": params_key, **_rngs(train_key)}, *narrowed((x, context)))


@checked()
@without_x64
def log_prob(
    model: Generative,
    variables: Variables,
    x: Values,
    context: PyTree = None,
    *,
    train: bool = False,
    key: Array | None = None,
) -> Float[Array, " batch"]:
    """Exact log likelihood log p(x | context) = sum_t log p(x[s_t] | x[s_<t], context), in full
    float32 on every device.

    Args:
      model: the model.
      variables: its variables.
      x: values [batch, *site_shape, *event_shape]; integers for a discrete head.
      context: what the model conditions on, leading axis `batch`; None for an unconditional model.
      train: whether dropout, mask resampling and the like are on; matmuls then have the precision
        that jax is set to.
      key: consumed by those; needed only when `train` and the model draws random numbers.

    Returns:
      nats, one per example.

    Raises:
      ValueError: the model does not know its likelihood exactly, `x` has a shape, dtype or values
        that the model does not describe, `context` or `variables` do not fit.

    Example:
      >>> import jax, numpy as np, zoo
      >>> model = zoo.MADE((2, 2), hidden=(8,))
      >>> x = np.array([[[0, 1], [1, 0]], [[1, 1], [0, 0]]])
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> zoo.log_prob(model, variables, x).shape
      (2,)
      >>> space = np.stack(np.meshgrid(*[[0, 1]] * 4), -1).reshape(16, 2, 2)
      >>> round(float(np.exp(zoo.log_prob(model, variables, space)).sum()), 4)
      1.0
    """
    check_knows(model, "exact")
    check_inputs(model, variables, x, context)
    with key_needed(model):
        return _log_prob(model, variables, *narrowed((x, context)), train, key)


@checked()
@without_x64
def training_loss(
    model: Generative,
    variables: Variables,
    x: Values,
    context: PyTree = None,
    *,
    key: Array | None = None,
) -> Float[Array, " batch"]:
    """What training minimises, nats of each example: `model.training_loss`. Arguments as for
    `log_prob`.

    Matmuls have the precision that jax is set to.

    Example:
      >>> import jax, numpy as np, zoo
      >>> model = zoo.MADE((2, 2), hidden=(8,))
      >>> x = np.array([[[0, 1], [1, 0]], [[1, 1], [0, 0]]])
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> loss = jax.grad(lambda v: zoo.training_loss(model, v, x, key=jax.random.key(1)).mean())
      >>> jax.tree.map(np.shape, loss(variables)) == jax.tree.map(np.shape, variables)
      True
    """
    check_inputs(model, variables, x, context)
    with key_needed(model):
        return _training_loss(model, variables, *narrowed((x, context)), key)


@checked()
@without_x64
def conditionals(
    model: Autoregressive, variables: Variables, x: Values, context: PyTree = None
) -> Float[Array, "..."]:
    """All conditionals under teacher forcing: params [batch, *site_shape, num_params]. Raises as
    `log_prob`.

    Example:
      >>> import jax, numpy as np, zoo
      >>> model = zoo.MADE((2, 2), hidden=(8,))
      >>> x = np.array([[[0, 1], [1, 0]], [[1, 1], [0, 0]]])
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> zoo.conditionals(model, variables, x).shape
      (2, 2, 2, 1)
    """
    check_inputs(model, variables, x, context)
    return _conditionals(model, variables, *narrowed((x, context)))


@checked()
@without_x64
def conditionals_given(
    model: Autoregressive, variables: Variables, x: Values, known: Bool[Array | np.ndarray, "..."]
) -> Float[Array, "..."]:
    """Params [batch, *site_shape, num_params] of every site given the known ones alone, in one pass.

    Args:
      model: an order-agnostic model that can do so, such as EoNADE.
      variables: its variables.
      x: values [batch, *site_shape, *event_shape]; unknown ones are not looked at.
      known: bool [*site_shape].

    Raises:
      ValueError: the model cannot, or an argument does not fit it.

    Example:
      >>> import jax, numpy as np, zoo
      >>> model, x = zoo.EoNADE((2, 2), hidden=4), np.array([[[0, 1], [1, 0]]])
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> known = np.array([[False, True], [False, False]])
      >>> zoo.conditionals_given(model, variables, x, known).shape
      (1, 2, 2, 1)
    """
    check_inputs(model, variables, x)
    known = np.asarray(known)
    if type(model).params_given is Autoregressive.params_given:
        raise ValueError(
            f"{type(model).__name__} has no conditionals given any known sites, as an EoNADE has."
        )
    if known.shape != tuple(model.site_shape) or known.dtype != bool:
        raise ValueError(
            f"known must be boolean, of shape {list(model.site_shape)}; got {known.dtype} of shape "
            f"{list(known.shape)}."
        )
    return _conditionals_given(model, variables, *narrowed((x, known)))


@functools.partial(jax.jit, static_argnums=0)
@full_float32
def _conditionals_given(model, variables, x, known):
    x = x.astype(model.head.dtype)
    rows = jnp.broadcast_to(known.reshape(1, -1), (len(x), model.num_sites))
    params = model.apply(variables, x, rows, method="params_given")
    return params.reshape(len(x), *model.site_shape, -1)


@functools.partial(jax.jit, static_argnums=0)
@full_float32
def _init(model, rngs, x, context):
    return model.init(rngs, x.astype(model.head.dtype), context, method=_encode_and_call)


@functools.partial(jax.jit, static_argnums=0)
@full_float32
def _conditionals(model, variables, x, context):
    return model.apply(variables, x.astype(model.head.dtype), context, method=_encode_and_call)


@functools.partial(jax.jit, static_argnums=(0, 4))
def _log_prob(model, variables, x, context, train, key):
    apply = model.apply if train else full_float32(model.apply)
    x = x.astype(model.head.dtype)
    return apply(variables, x, context, train, method=_encode_and_score, rngs=_rngs(key))


@functools.partial(jax.jit, static_argnums=0)
def _training_loss(model, variables, x, context, key):
    x = x.astype(model.head.dtype)
    return model.apply(
        variables,
        x,
        method=lambda model, x: model.training_loss(x, model.encode(context)),
        rngs=_rngs(key),
    )


def _encode_and_call(model, x, context, train=False):
    return model(x, model.encode(context), train=train)


def _encode_and_score(model, x, context, train):
    return model.log_likelihood(x, model.encode(context), train=train)


def _rngs(key):
    """The streams of a key: "train", as `nn.Dropout` calls it "dropout", and "noise" for what is
    drawn from noise.
    """
    if key is None:
        return {}
    noise = jax.random.fold_in(key, np.uint32(2**32 - 1))
    return {"train": key, "dropout": key, "noise": noise}
