"""The device of a check: which one it is, and the limits of its speed."""

import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.on_device.results import SIZES, emit, folder, measured, versions


def same_device(size: str | None = None) -> None:
    """Records on what this folder's results are measured, once.

    Raises:
      ValueError: the folder has results of other devices, or of another jax or size.
    """
    import jax

    here: dict[str, Any] = {
        "jax": jax.__version__,
        "devices": [device.device_kind for device in jax.devices()],
    }
    here |= {"size": size} if size else {}
    there = versions()
    if size and not there:
        emit("env", "versions", **here, platform=jax.default_backend())
    for name, value in here.items():
        if there and there.get(name, SIZES[0]) != value:
            raise ValueError(
                f"{folder()} holds results of {name} {there.get(name)}, and this is {name} "
                f"{value}: choose another folder by OUT=FOLDER."
            )


def timed(function: Callable[[], Any], repeats: int = 5, seconds: float = 3.0) -> float:
    """Returns the median seconds of a compiled call; the first call does not count."""
    import jax

    jax.block_until_ready(function())
    times: list[float] = []
    while len(times) < repeats and (not times or sum(times) < seconds):
        began = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def env(size: str) -> None:
    """Records versions, the speed of a matmul and of a copy, and the cost of a loop iteration."""
    import jax
    import jax.numpy as jnp

    same_device(size)
    if ("env", "loop_16_cond") in measured():  # the last
        return
    n = 8192 if jax.default_backend() != "cpu" else 512
    a = jax.random.normal(jax.random.key(0), (n, n))
    for name, dtype, precision in (
        ("highest", "float32", "highest"),
        ("default", "float32", "default"),
        ("bf16", "bfloat16", "default"),
    ):
        b = a.astype(dtype)
        multiply = jax.jit(lambda x, p=precision: jnp.matmul(x, x, precision=p))
        seconds = timed(lambda: multiply(b))  # noqa: B023
        exact = jnp.matmul(b[:256].astype("float32"), b.astype("float32"), precision="highest")
        error = jnp.linalg.norm(multiply(b)[:256].astype("float32") - exact) / jnp.linalg.norm(
            exact
        )
        emit("env", f"matmul_{name}", tflops=2 * n**3 / seconds / 1e12, relative_error=float(error))
    big = jnp.ones((2**28 if n == 8192 else 2**20,), jnp.float32)
    copy = jax.jit(lambda x: x + 1)
    emit("env", "copy", gb_per_s=2 * big.nbytes / timed(lambda: copy(big)) / 1e9)
    w, x = jax.random.normal(jax.random.key(1), (256, 256)) / 16, jnp.ones((64, 256))
    for kernels in (1, 4, 16):
        for cond in (False, True):

            def iteration(i, x, kernels=kernels, cond=cond):
                for _ in range(kernels):
                    x = jnp.tanh(x @ w)
                return (
                    jax.lax.cond(i % 2 == 0, lambda x: jnp.tanh(x @ w), lambda x: x, x)
                    if cond
                    else x
                )

            loop = jax.jit(lambda x, iteration=iteration: jax.lax.fori_loop(0, 784, iteration, x))
            emit(
                "env",
                f"loop_{kernels}{'_cond' if cond else ''}",
                us_per_turn=timed(lambda: loop(x)) / 784 * 1e6,  # noqa: B023
            )
