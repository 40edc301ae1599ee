"""The devices, seen as one row: weights are whole on each of them, batches are cut along their
first axis.
"""

import os
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import PyTree


def share(batch_size: int, devices: Sequence[jax.Device] | None = None) -> tuple[jax.Device, ...]:
    """The most of the devices, by default of all, that divide a batch into equal parts.

    Raises:
      ValueError: several processes train together, and one of them would have nothing to do.
    """
    devices = tuple(devices or jax.devices())
    most = max(num for num in range(1, len(devices) + 1) if batch_size % num == 0)
    if most < len(devices) and jax.process_count() > 1:
        raise ValueError(
            f"a batch of {batch_size} cannot be shared equally by the {len(devices)} devices of "
            f"{jax.process_count()} processes; pass --batch-size "
            f"{len(devices) * -(-batch_size // len(devices))}."
        )
    return devices[:most]


def shardings(devices: Sequence[jax.Device] | None = None) -> tuple[NamedSharding, NamedSharding]:
    """(replicated, split along axis 0) over the devices, by default all."""
    devices = list(devices or jax.devices())
    mesh = jax.make_mesh((len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices)
    return NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))


def spread(batch: PyTree[np.ndarray], split: NamedSharding) -> PyTree[jax.Array]:
    """This process's rows of a batch, spread over its devices."""
    return jax.tree.map(lambda rows: jax.make_array_from_process_local_data(split, rows), batch)


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
