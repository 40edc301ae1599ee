"""Recurrent cells, and the loop of a cell over a sequence with a gradient of its own.

With x the part of the gates that comes from the input and U the kernel of the state:

    Elman   h' = tanh(x + h U) GRU     r, z = sigmoid(x_rz + h U_rz),  n = tanh(x_n + r (h U_n +
    b)),  h' = (1 - z) n + z h LSTM    i, f, o, g = x + h U,  c' = sigmoid(f) c + sigmoid(i)
    tanh(g),  h' = sigmoid(o) tanh(c')
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
    """
    # sigmoid(x) = (1 + tanh(x / 2)) / 2: one tanh of all gates is several times faster than five of
    # parts of them.
    halves = jnp.repeat(jnp.array([0.5, 0.5, 0.5, 1], gates.dtype), c.shape[-1])
    i, f, o, g = jnp.split(jnp.tanh(gates * jnp.expand_dims(halves, range(c.ndim - 1))), 4, axis=-1)
    c = ((1 + f) * c + (1 + i) * g) / 2
    return (1 + o) / 2 * jnp.tanh(c), c


def advance(
    cell: Cell, gates: Float[Array, "*shape gates"], own: Float[Array, "*shape gates"], state: State
) -> State:
    """The next state, from what the input and the state's kernel add to the gates."""
    if cell == "lstm":
        return lstm(gates + own, state[1])
    if cell == "elman":
        return (jnp.tanh(gates + own),)
    h = state[0]
    x, u = (jnp.split(each, [2 * h.shape[-1]], axis=-1) for each in (gates, own))
    r, z = jnp.split(nn.sigmoid(x[0] + u[0]), 2, axis=-1)
    return ((1 - z) * jnp.tanh(x[1] + r * u[1]) + z * h,)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def unroll(
    cell: Cell,
    gates: Float[Array, "length batch gates"],
    kernel: Float[Array, "h gates"],
    bias: Float[Array, " gates"],
    state: State,
    anew: Bool[Array, "length batch"] | None,
    first: State,
) -> tuple[Float[Array, "length batch h"], State]:
    """The outputs for all tokens, and the state after the last; before tokens marked `anew` the
    state is `first`.

    The gradient of the kernel is one matmul over all tokens; to differentiate the loop would add up
    a kernel at each.
    """
    return _unroll_forward(cell, gates, kernel, bias, state, anew, first)[0]


def _unroll_forward(cell, gates, kernel, bias, state, anew, first):
    def body(state, inputs):
        gates, begins = inputs
        state = begun(begins, first, state)
        state = advance(cell, gates, state[0] @ kernel + bias[None], state)
        return state, state

    last, states = jax.lax.scan(body, state, (gates, anew))
    return (states[0], last), (gates, kernel, bias, state, anew, first, states)


def _unroll_backward(cell, residuals, gradients):
    gates, kernel, bias, state, anew, first, states = residuals
    of_outputs, of_last = gradients
    before = tuple(jnp.concatenate([a[None], b[:-1]]) for a, b in zip(state, states, strict=True))
    before = begun(anew, first, before)
    own = before[0] @ kernel + bias[None, None]

    def body(carry, inputs):
        of_state, of_first = carry
        of_output, gates, own, before, begins = inputs
        _, pull = jax.vjp(functools.partial(advance, cell), gates, own, before)
        of_gates, of_own, of_before = pull((of_state[0] + of_output, *of_state[1:]))
        of_before = (of_before[0] + of_own @ kernel.T, *of_before[1:])
        if begins is not None:
            of_first = jax.tree.map(jnp.add, of_first, begun(begins, of_before, _zeros(first)))
            of_before = begun(begins, _zeros(first), of_before)
        return (of_before, of_first), (
            of_own,
            of_gates if cell == "gru" else None,
        )  # equal in the other cells

    inputs = (of_outputs, gates, own, before, anew)
    (of_state, of_first), (of_own, of_gates) = jax.lax.scan(
        body, (of_last, _zeros(first)), inputs, reverse=True
    )
    of_kernel = jnp.einsum("lbh,lbg->hg", before[0], of_own)
    return (
        of_own if of_gates is None else of_gates,
        of_kernel,
        of_own.sum((0, 1)),
        of_state,
        None,
        of_first,
    )


unroll.defvjp(_unroll_forward, _unroll_backward)


def begun(begins: Array | None, first: State, state: tuple[Array, ...]) -> tuple[Array, ...]:
    """`first` in the rows where a document begins."""
    if begins is None:
        return state
    return tuple(jnp.where(begins[..., None], a, b) for a, b in zip(first, state, strict=True))


def _zeros(state: State) -> State:
    return tuple(jnp.zeros_like(each) for each in state)
