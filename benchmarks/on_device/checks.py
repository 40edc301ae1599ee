"""Numerics: the checks of `sample.testing` that compare what a device computes."""

import functools

from benchmarks.on_device.ceilings import same_device
from benchmarks.on_device.results import FAILED, emit, in_one_line

# The other checks are of the code.
NUMERIC = (
    "step", "engines", "normalised", "causal", "distribution", "rows", "bound", "gradients",
)  # fmt: skip


def numerics(name: str, precision: str) -> None:
    """Checks the tiny model on this device, and compares its likelihood with the CPU's.

    The precision is that of matmuls in the caller's setting, to which no result may yield. An error
    of the device, such as for want of memory, says nothing about numerics: it is tried again.
    """
    import jax

    import zoo
    from sample.testing import suite

    same_device()
    jax.config.update("jax_default_matmul_precision", precision)
    entry = zoo.entry(name)
    checks = [check for check in suite.checks_of(entry.tiny) if _short(check) in NUMERIC]
    errors: list[str] = []
    found = {
        _short(check): "skipped"
        if suite.why_skipped(check, entry)
        else _outcome(functools.partial(check, entry), errors)
        for check in checks
    }
    gaps: list[float] = []
    found["as_on_cpu"] = _outcome(lambda: _compare_with_cpu(entry, gaps), errors)
    emit(
        "numerics", f"{name}/{precision}", from_cpu=max(gaps, default=None), **found,
        **({"error": errors[0]} if errors else {}),
    )  # fmt: skip


def _short(check):
    return check.__name__.removeprefix("check_")


def _outcome(check, errors):
    """What a check finds, in words; an error of the device goes into `errors` as well."""
    import jax

    try:
        remark = check()
    except Exception as error:
        if isinstance(error, jax.errors.JaxRuntimeError | MemoryError):
            errors.append(in_one_line(error))
        return FAILED + in_one_line(error)
    return f"ok: {remark}" if remark else "ok"


def _compare_with_cpu(entry, gaps):
    """Compares the likelihood, or what a model knows of it, with the CPU's; the largest difference
    in nats goes into `gaps`.
    """
    import jax
    import numpy as np

    from sample.testing.subject import example_of, figure_of, variables_for

    given = jax.device_get((variables_for(entry), *example_of(entry, 32)))
    here = np.asarray(figure_of(entry.tiny, *given))
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        there = np.asarray(figure_of(entry.tiny, *given))
    gaps.append(float(np.abs(here - there).max()))
    np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-3)
