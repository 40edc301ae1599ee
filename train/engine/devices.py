"""The devices, seen as one row: weights are whole on each of them, batches are cut along their
first axis.
"""

import os
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import PyTree


def share(
    batch_size: int, devices: Sequence[jax.Device] | None = None, parts: int = 1
) -> tuple[jax.Device, ...]:
    """The most of the devices, by default of all, that divide a batch into equal shares; the batch
    is one of so many `parts` of an update's.

    Raises:
      ValueError: several processes train together, and one of them would have nothing to do.
    """
    devices = tuple(devices or jax.devices())
    most = max(num for num in range(1, len(devices) + 1) if batch_size % num == 0)
    if most < len(devices) and jax.process_count() > 1:
        raise ValueError(
            f"a batch of {batch_size} cannot be shared equally by the {len(devices)} devices of "
            f"{jax.process_count()} processes; pass --batch-size "
            f"{parts * len(devices) * -(-batch_size // len(devices))}, or, to resume a run, start as "
            "many processes as divide its batch."
        )
    return devices[:most]


def shardings(devices: Sequence[jax.Device] | None = None) -> tuple[NamedSharding, NamedSharding]:
    """(replicated, split along axis 0) over the devices, by default all."""
    devices = list(devices or jax.devices())
    mesh = jax.make_mesh((len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices)
    return NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))


def pieces(tree: PyTree, devices: Sequence[jax.Device]) -> PyTree[NamedSharding]:
    """How the devices share the arrays of a tree: each is cut along its longest axis that they
    divide into equal parts; an array without one, such as a number, is whole on every device.
    """
    replicated, _ = shardings(devices)

    def piece(leaf):
        fitting = [axis for axis, size in enumerate(leaf.shape) if size % len(devices) == 0]
        if not fitting or not leaf.size:
            return replicated
        axis = max(fitting, key=lambda axis: leaf.shape[axis])
        return NamedSharding(replicated.mesh, PartitionSpec(*[None] * axis, "data"))

    return jax.tree.map(piece, tree)


def placed(
    tree: PyTree, shardings: PyTree[NamedSharding] | NamedSharding, may_alias: bool = True
) -> PyTree[jax.Array]:
    """The arrays of a tree as the shardings say, one for all or one for each; every process has all
    arrays, and puts on its own devices what belongs there. Unless they `may_alias`, they are copies.
    """
    if jax.process_count() == 1:
        return jax.device_put(tree, shardings, may_alias=None if may_alias else False)
    if isinstance(shardings, NamedSharding):
        shardings = jax.tree.map(lambda _: shardings, tree)

    def whole(leaf, sharding):
        leaf = np.asarray(leaf) if may_alias else np.array(leaf)
        return jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index])

    return jax.tree.map(whole, tree, shardings)


def fetched(tree: PyTree[jax.Array]) -> PyTree:
    """The arrays of a tree as every process can read them: those that lie in pieces on several
    processes are gathered, one after the other.
    """
    return jax.tree.map(_fetched, tree)


def _fetched(leaf):
    if leaf.is_fully_addressable:
        return leaf
    if leaf.is_fully_replicated:
        return np.asarray(leaf.addressable_data(0))
    from jax.experimental.multihost_utils import process_allgather

    return process_allgather(leaf, tiled=True)


def lag(devices: Sequence[jax.Device] | None = None) -> int:
    """How many updates may be under way before one is waited for.

    A few keep an accelerator busy while the host prepares the next batch. Collectives between
    several CPU devices can deadlock when updates pile up, so there every update is waited for.
    """
    devices = list(devices or jax.devices())
    return 0 if len(devices) > 1 and devices[0].platform == "cpu" else 16


def hardware(devices: Sequence[jax.Device] | None = None) -> str:
    """The devices, by default all, in words, such as "1 x cpu (8 cores)"."""
    devices = list(devices or jax.devices())
    cores = f" ({os.cpu_count()} cores)" if devices[0].platform == "cpu" else ""
    return f"{len(devices)} x {devices[0].device_kind}{cores}"
