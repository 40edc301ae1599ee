"""Buffers that are written at the same place of each at the same ranks: one array holds them, and one
operation writes it.

They are written as a rank ends, when all of their values are known, and read before: what is new is
not read from a buffer. A GPU copies a buffer that a later operation might read as it was, so all
reads belong to products that are computed together as the rank begins.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from zoo.derived.network.graph import Array
from zoo.derived.network.windows import Window, volume
from zoo.derived.plan import Plan
from zoo.derived.work.memory import Buffer
from zoo.derived.work.together import Together


@dataclasses.dataclass(eq=False, repr=False)
class Shelf:
    """Buffers that are alike, [buffers, ...] together.

    Attributes:
      buffers: the buffers.
    """

    buffers: list[Buffer]

    def joined(self, kept: dict[Array, Any]) -> Any:
        """The buffers as one array."""
        return jnp.stack([kept[each.array] for each in self.buffers])

    def apart(self, joint: Any) -> dict[Array, Any]:
        """Each buffer."""
        return {each.array: joint[i] for i, each in enumerate(self.buffers)}

    def load(self, run: Any, joint: Any, window: Window) -> Any:
        """A window of every array, [buffers, batch, ...]."""
        return jax.vmap(lambda buffer: self.buffers[0].load(run, buffer, window))(joint)

    def store(self, run: Any, joint: Any, new: dict[Array, tuple[Window, Any]]) -> Any:
        """The buffers with a window of each array in its place."""
        placed = [each.placed(run, joint.shape[1:], *new[each.array]) for each in self.buffers]
        values = jnp.stack([value for _, value in placed])
        return lax.dynamic_update_slice(joint, values, [jnp.int32(0), *placed[0][0]])


def shelves(plan: Plan, buffers: dict[Array, Buffer], groups: list[Together]) -> list[Shelf]:
    """The buffers of a plan that are kept as one."""
    read = {each for group in groups for each in group.reads}
    alike: dict[Any, list[Buffer]] = {}
    for array, buffer in buffers.items():
        schedule = plan.at[array]
        whole = volume(schedule.window) == math.prod(buffer.lengths)  # replaced, not written
        conditional = schedule.sparse or schedule.times.tobytes() in plan.apart
        if schedule.frame != "step" or whole or conditional:
            continue
        demands = [each for each in plan.demands[array].values() if each.frame != "enter"]
        others = [each for each in demands if each.early or each.window != schedule.window]
        if any(each.early or (array, each.window) not in read for each in others):
            continue
        layout = *buffer.outer, -1, *buffer.inner, *buffer.margins, *buffer.lengths, buffer.ring
        key = layout, str(array.dtype), schedule.window, schedule.times.tobytes()
        alike.setdefault(key, []).append(buffer)
    # A plan is made backwards; products are in the order of the network.
    return [Shelf(each[::-1]) for each in alike.values() if len(each) > 1]
