"""Sizes for which programs are compiled: few, so that most requests reuse one."""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import PyTree

import zoo

_PREFILLED = 32  # fewer known ranks are not worth a separate pass
BATCH = 256
_bytes: dict[Any, int] = {}  # of the caches of one sample


def usual_batch(
    device: Any,
    model: zoo.Autoregressive,
    make: Callable[..., zoo.Decoder] | None,
    variables: PyTree,
    context: PyTree,
) -> int:
    """How many samples a device draws at once where the caller does not say: 256 on a CPU.

    On an accelerator kernel-launch overhead limits a step, so 1,024 samples take little longer than
    256 do: as many as their caches fit into a quarter of its memory.

    Args:
      device: a jax.Device.
      model: the model.
      make: the function that makes its decoder; None if the whole network runs at every rank.
      variables: its variables.
      context: that of all samples.

    Example:
      >>> usual_batch(jax.devices("cpu")[0], zoo.NADE(), zoo.decoder, {}, None)
      256
    """
    limit = None if device.platform == "cpu" else (device.memory_stats() or {}).get("bytes_limit")
    if limit is None or make is None:
        return BATCH
    if (model, make) not in _bytes:
        one = jax.tree.map(lambda leaf: leaf[:1], context)
        cache = jax.eval_shape(
            lambda *each: make(model, each[0], 1, each[1]).init(), variables, one
        )
        bytes_of = (leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(cache))
        _bytes[model, make] = sum(bytes_of)
    batch = 4 * BATCH
    while batch > 1 and batch * _bytes[model, make] > limit / 4:
        batch //= 2
    return batch


def few(num: int) -> int:
    """Rounds `num` up to the next of 1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, ..."""
    power = 1 << (num - 1).bit_length()
    return power * 3 // 4 if power >= 64 and num <= power * 3 // 4 else power


def few_known(known: int) -> int:
    """Rounds `known` ranks down to the number that is read in one pass.

    The result is one of a few numbers, at most a fifth less; 0 if there are few ranks.
    """
    unit = max(_PREFILLED, 1 << max(0, known.bit_length() - 3))
    return known // unit * unit
