"""What the programs of a call launch, and how long their operations would take at best."""

import time
from collections.abc import Callable
from typing import Any

from benchmarks.absent_devices.programs import count_program
from benchmarks.on_device.results import rows


def first_call(function: Callable[[], Any]) -> tuple[Any, float, int | None]:
    """What a first call returns, its seconds with compilation, and how many kernels the programs
    launch that it compiled; None where their text is unknown.

    Example:
      >>> import jax, numpy as np
      >>> double = jax.jit(lambda x: x + x)
      >>> first_call(lambda: double(np.ones(3, np.float32)))[2]
      1
    """
    import jax

    client = jax.devices()[0].client
    before = {id(each): each for each in client.live_executables()}  # held, so no id is used again
    began = time.perf_counter()
    result = jax.block_until_ready(function())
    seconds = time.perf_counter() - began
    new = [each for each in client.live_executables() if id(each) not in before]
    try:
        texts = [module.to_string() for each in new for module in each.hlo_modules()]
        return result, seconds, sum(count_program(text)["kernels"] for text in texts)
    except Exception:  # a device need not hand out the text
        return result, seconds, None


def limit_of(function: Callable[..., Any], *arguments: Any) -> float | None:
    """Seconds that the multiplications and additions of a function would take at the speed of a
    matmul in full float32, as measured before; None if either is unknown.
    """
    from zoo.foundation.flop_counter import flops

    speeds = [row["tflops"] for row in rows() if row["key"] == "matmul_highest"]
    try:
        return flops(function, *arguments) / (speeds[-1] * 1e12)
    except (IndexError, ValueError):
        return None
