"""Recurrent cells, and the loop of a cell over a sequence with a gradient written by hand.

With x what the input adds to the gates, a = h U + b what the state adds, and i, f, o, g slices of
the gates:

    Elman   h' = tanh(x + a)
    GRU     r, z = sigmoid(x_rz + a_rz)
            h' = (1 - z) tanh(x_n + r a_n) + z h
    LSTM    i, f, o, g = x + a
            c' = sigmoid(f) c + sigmoid(i) tanh(g)
            h' = sigmoid(o) tanh(c')
"""

import functools
from typing import Literal, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Cell: TypeAlias = Literal["elman", "gru", "lstm"]
State: TypeAlias = tuple[Float[Array, "batch h"], ...]  # (h,), or (h, c) of an LSTM
GATES: dict[str, int] = {"elman": 1, "gru": 3, "lstm": 4}


def lstm(gates: Float[Array, "*shape gates"], c: Float[Array, "*shape h"]) -> tuple[Array, Array]:
    """The LSTM cell: from the gates' pre-activations i, f, o, g and the state c to the new output h
    and state c.

    Example:
      >>> import jax.numpy as jnp
      >>> h, c = lstm(jnp.zeros((1, 8)), jnp.ones((1, 2)))
      >>> c.tolist()  # half of it is forgotten
      [[0.5, 0.5]]
    """
    # sigmoid(x) = (1 + tanh(x / 2)) / 2: one tanh of all gates is several times faster than five,
    # since XLA computes the tanh of a slice again wherever it is used.
    halves = jnp.repeat(jnp.array([0.5, 0.5, 0.5, 1], gates.dtype), c.shape[-1])
    i, f, o, g = jnp.split(jnp.tanh(gates * jnp.expand_dims(halves, range(c.ndim - 1))), 4, axis=-1)
    c = ((1 + f) * c + (1 + i) * g) / 2
    return (1 + o) / 2 * jnp.tanh(c), c


def advance(
    cell: Cell,
    gates: Float[Array, "*shape gates"],
    from_state: Float[Array, "*shape gates"],
    state: State,
) -> State:
    """The next state, from what the input (`gates`) and the state (`from_state`, h U + b) add to the
    gates.
    """
    if cell == "lstm":
        return lstm(gates + from_state, state[1])
    if cell == "elman":
        return (jnp.tanh(gates + from_state),)
    h = state[0]
    x, a = (jnp.split(each, [2 * h.shape[-1]], axis=-1) for each in (gates, from_state))
    r, z = jnp.split(nn.sigmoid(x[0] + a[0]), 2, axis=-1)
    return ((1 - z) * jnp.tanh(x[1] + r * a[1]) + z * h,)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def unroll(
    cell: Cell,
    gates: Float[Array, "length batch gates"],
    kernel: Float[Array, "h gates"],
    bias: Float[Array, " gates"],
    state: State,
    resets: Bool[Array, "length batch"] | None,
    initial_state: State,
) -> tuple[Float[Array, "length batch h"], State]:
    """A cell over a sequence: for t = 0, 1, ...

        s~_t = initial_state if resets_t else s_{t-1}
        a_t = h~_t U + b
        s_t = cell(x_t, a_t, s~_t)

    with h~ the first array of the state s~. JAX can differentiate it backwards only (`jax.grad`).

    Args:
      cell: which cell.
      gates: x, what the inputs add to the gates.
      kernel: U.
      bias: b.
      state: s_{-1}, the state before the first token.
      resets: at which tokens the state is reset first; None for nowhere.
      initial_state: the state that it is reset to.

    Returns:
      (h_t of all tokens, the state after the last).
    """
    return _unroll_forward(cell, gates, kernel, bias, state, resets, initial_state)[0]


def _unroll_forward(cell, gates, kernel, bias, state, resets, initial_state):
    def body(state, inputs):
        gates, resets = inputs
        state = reset_where(resets, initial_state, state)
        state = advance(cell, gates, state[0] @ kernel + bias[None], state)
        return state, state

    last, states = jax.lax.scan(body, state, (gates, resets))
    return (states[0], last), (gates, kernel, bias, state, resets, initial_state, states)


# With dy = dL/dy for any y, and dh_t that of the outputs: for t = T-1, ..., 0
#
#     ds_t += (dh_t, 0)
#     dx_t, da_t, ds~_t = ds_t * Jacobian of the cell at (x_t, a_t, s~_t)
#     dh~_t += da_t U^T
#     ds_{t-1} = 0 where resets_t, else ds~_t
#     d initial_state += ds~_t where resets_t, else 0
#
# and then, outside of the loop,
#
#     dU = sum_t h~_t^T da_t,    db = sum_t da_t,    ds_{-1} as the loop leaves it.
#
# So the gradient of the kernel is one matmul over all tokens, where differentiating the loop would
# add up an array of the size of the kernel at every token. All a_t are one matmul too: the forward
# pass keeps the states alone.
def _unroll_backward(cell, residuals, gradients):
    gates, kernel, bias, state, resets, initial_state, states = residuals
    d_outputs, d_last = gradients
    before = tuple(jnp.concatenate([a[None], b[:-1]]) for a, b in zip(state, states, strict=True))
    before = reset_where(resets, initial_state, before)  # s~, [length, batch, h] each
    from_state = before[0] @ kernel + bias[None, None]  # a, [length, batch, gates]
    zeros = tuple(jnp.zeros_like(each) for each in initial_state)

    def body(carry, inputs):
        d_state, d_initial = carry
        d_output, gates, from_state, before, resets = inputs
        _, cell_vjp = jax.vjp(functools.partial(advance, cell), gates, from_state, before)
        d_gates, d_from_state, d_before = cell_vjp((d_state[0] + d_output, *d_state[1:]))
        d_before = (d_before[0] + d_from_state @ kernel.T, *d_before[1:])
        if resets is not None:
            d_reset = reset_where(resets, d_before, zeros)
            d_initial = jax.tree.map(jnp.add, d_initial, d_reset)
            d_before = reset_where(resets, zeros, d_before)
        # x and a only occur as x + a, but in the GRU: dx = da.
        return (d_before, d_initial), (d_from_state, d_gates if cell == "gru" else None)

    inputs = (d_outputs, gates, from_state, before, resets)
    (d_state, d_initial), (d_from_state, d_gates) = jax.lax.scan(
        body, (d_last, zeros), inputs, reverse=True
    )
    return (
        d_from_state if d_gates is None else d_gates,
        _rows(before[0]).T @ _rows(d_from_state),
        d_from_state.sum((0, 1)),
        d_state,
        None,  # resets have no gradient
        d_initial,
    )


unroll.defvjp(_unroll_forward, _unroll_backward)


def _rows(x):
    """[length, batch, n] to [length * batch, n]: a matmul of matrices is faster on a CPU."""
    return x.reshape(-1, x.shape[-1])


def reset_where(
    resets: Array | None, initial_state: tuple[Array, ...], state: tuple[Array, ...]
) -> tuple[Array, ...]:
    """The state, with `initial_state` in the rows where `resets` is true; None for nowhere."""
    if resets is None:
        return state
    return tuple(
        jnp.where(resets[..., None], new, old)
        for new, old in zip(initial_state, state, strict=True)
    )
