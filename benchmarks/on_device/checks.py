"""Numerics: the checks of `sample.testing` that compare what a device computes."""

import functools
from collections.abc import Callable

from benchmarks.on_device.ceilings import same_device
from benchmarks.on_device.results import FAILED, emit, in_one_line, outcomes

# The other checks are of the code.
NUMERIC = (
    "step", "engines", "normalised", "causal", "distribution", "rows", "bound", "gradients",
)  # fmt: skip


def numerics(name: str, precision: str) -> None:
    """Checks the tiny model on this device, and compares its likelihood with the CPU's; each outcome
    is written at once, and what an earlier process wrote is not computed again.

    The precision is that of matmuls in the caller's setting, to which no result may yield. An error
    of the device, such as for want of memory, says nothing about numerics: it is tried again.
    """
    import jax

    import zoo
    from sample.testing import suite

    same_device()
    jax.config.update("jax_default_matmul_precision", precision)
    entry = zoo.entry(name)
    checks: dict[str, Callable[[], str | None]] = {
        short: functools.partial(check, entry)
        for check in suite.checks_of(entry.tiny)
        if (short := check.__name__.removeprefix("check_")) in NUMERIC
        and not suite.why_skipped(check, entry)
    }
    checks["as_on_cpu"] = functools.partial(_compare_with_cpu, entry)
    key, done = f"{name}/{precision}", outcomes()
    for short, check in checks.items():
        if f"{key}/{short}" not in done:
            _record(f"{key}/{short}", check)
    done = outcomes()
    found = {short: done.get(f"{key}/{short}", "error") for short in checks}
    emit("numerics", key, **found, **({"error": ""} if "error" in found.values() else {}))


def _record(key: str, check: Callable[[], str | None]) -> None:
    """Writes what a check finds."""
    import jax

    try:
        remark = check()
        emit("check", key, found=f"ok: {remark}" if remark else "ok")
    except (jax.errors.JaxRuntimeError, MemoryError) as error:  # of the device
        emit("check", key, error=in_one_line(error))
    except Exception as error:
        emit("check", key, found=FAILED + in_one_line(error))


def _compare_with_cpu(entry):
    """Compares the likelihood, or what a model knows of it, with the CPU's; returns the largest
    difference.
    """
    import jax
    import numpy as np

    from sample.testing.subject import example_of, figure_of, variables_for

    given = jax.device_get((variables_for(entry), *example_of(entry, 32)))
    here = np.asarray(figure_of(entry.tiny, *given))
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        there = np.asarray(figure_of(entry.tiny, *given))
    np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-3)
    return f"within {np.abs(here - there).max():.2g} nats"
