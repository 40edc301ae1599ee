"""`python -m benchmarks.compile_check`: what every model is compiled to for a TPU v5e and an H100.

It compiles the draw, the likelihood and the update of each model for these devices, which need not be
there, and compares the programs with a stored table. Each device has a process, which needs the
extra `tpu` or `cuda`. A program is worse than the stored one if it launches more kernels, copies
more, has more conditionals or loops of unknown length, or needs more temporary memory.
"""

import dataclasses
import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from benchmarks.absent_devices.programs import count_program
from zoo.cli import called, command
from zoo.foundation.files import write_whole

HERE = Path(__file__).parent / "absent_devices"
TABLE = HERE / "programs.json"
WHATS = ("draw", "likelihood", "update")
SLACK = {  # times the stored
    "kernels": 1.02,
    "copied": 1.02,
    "conditionals": 1.0,
    "waits": 1.0,
    "temporary": 1.1,
}
ENVIRONMENT = {
    "tpu": {"TPU_SKIP_MDS_QUERY": "1", "TPU_ACCELERATOR_TYPE": "v5litepod-4"},
    "cuda": {
        "CUDA_VISIBLE_DEVICES": "-1",
        "XLA_FLAGS": "--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false",
    },
}
Device = Literal["tpu", "cuda"]


@dataclasses.dataclass(frozen=True)
class Options:
    """Compiles every model for devices that need not be there, and compares with a stored table."""

    models: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Names of models in the catalogue; by default all."""
    devices: tuple[Device, ...] = ("tpu", "cuda")
    """A TPU v5e (tpu), an H100 (cuda)."""
    size: Literal["tiny", "paper"] = "paper"
    """Which instance of each model."""
    batch: int = 64
    """Examples in a batch."""
    store: bool = False
    """Store what is found instead of comparing it."""
    inside: Device | None = None
    """Compile for this device in this process, and print a line of JSON for each program."""


def absent(device: Device) -> Any:
    """A device that is not there, to compile for."""
    import jax._src.xla_bridge as bridge
    from jax.experimental import topologies

    if device == "tpu":
        return topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2").devices[0]
    usual = bridge.canonicalize_platform  # which refuses a platform without devices

    def canonical(platform):
        return "cuda" if platform in ("gpu", "cuda") else usual(platform)

    bridge.canonicalize_platform = canonical
    config = (HERE / "h100.txt").read_text()
    described = topologies.get_topology_desc(
        platform="cuda", target_config=config, topology="1x1x1"
    )
    return described.devices[0]


def programs(name: str, options: Options) -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """(what it computes, the function, its arguments as shapes) of each program of a model."""
    import jax
    import jax.numpy as jnp

    import sample
    import zoo
    from train.engine.step import _step, initial_state
    from train.recipe.presets import RECIPES
    from zoo.core.bounds import draw_values

    model = getattr(zoo.entry(name), options.size)
    x, context = zoo.entry(name).example(model, 2)

    def batch(leaf):
        return jax.ShapeDtypeStruct((options.batch, *jnp.shape(leaf)[1:]), jnp.asarray(leaf).dtype)

    x, context = jax.tree.map(batch, (x, context))
    key = jax.eval_shape(lambda: jax.random.key(0))
    variables = jax.eval_shape(functools.partial(zoo.init, model), key, x, context)
    if isinstance(model, zoo.Autoregressive):

        def draw(variables, key, context):
            ways = {"context": context, "batch_size": options.batch}
            return sample.draw(model, variables, key, options.batch, **ways)
    else:

        def draw(variables, key, context):
            return draw_values(model, variables, key, jnp.arange(options.batch), context)

    yield "draw", draw, (variables, key, context)
    if model.knows == "exact":
        yield "likelihood", functools.partial(zoo.log_prob, model), (variables, x, context)
    elif model.knows == "bound":

        def bound(variables, key, x, context):
            return zoo.evidence(model, variables, x, context, key=key, num=1)

        yield "likelihood", bound, (variables, key, x, context)
    recipe = RECIPES[name].get("paper") or RECIPES[name]["cpu"]
    recipe = dataclasses.replace(
        recipe, model=model, batch_size=options.batch, accumulate=1, encoder=None, encoder_rate=1.0
    )
    given = jax.ShapeDtypeStruct((options.batch,), bool) if model.streams else context
    state = jax.eval_shape(functools.partial(initial_state, recipe), x, given)
    yield "update", functools.partial(_step, recipe, None), (state, x, given)


def compile_all(device: Device, options: Options) -> None:
    """Compiles for a device, and prints a line of JSON for each program."""
    import jax
    from jax.sharding import SingleDeviceSharding

    import zoo

    there = SingleDeviceSharding(absent(device))

    def on_device(leaf):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=there)

    for name in options.models or tuple(zoo.CATALOGUE):
        for what, function, arguments in programs(name, options):
            began = time.monotonic()
            found: dict[str, Any] = {"key": f"{device}/{name}/{what}"}
            try:
                traced = jax.jit(function).trace(*jax.tree.map(on_device, arguments))
                compiled = traced.lower(lowering_platforms=(device,)).compile()
                counted = count_program(compiled.as_text())
                model = getattr(zoo.entry(name), options.size)
                sites = model.num_sites if what == "draw" else 1
                found |= {
                    "kernels": round(counted["kernels"] / sites, 2),
                    "copied": counted["copied"],
                    "conditionals": counted["conditionals"],
                    "waits": counted["waits"],
                    "temporary": compiled.memory_analysis().temp_size_in_bytes,
                }
            except Exception as error:
                found["error"] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            found["seconds"] = round(time.monotonic() - began, 1)
            print(json.dumps(found), flush=True)


def found_by(device: Device, options: Options) -> Iterator[dict[str, Any]]:
    """What a process that compiles for a device prints, line by line.

    Raises:
      ValueError: the process ended with an error, such as without the device's plugin.
    """
    words = [*options.models, "--inside", device, "--size", options.size]
    words += ["--batch", str(options.batch)]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", **ENVIRONMENT[device]}
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.compile_check", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    for line in process.stdout:
        if line.startswith("{"):
            yield json.loads(line)
    last = process.stderr.read().strip().splitlines()[-1:]
    if process.wait():
        raise ValueError(
            f"nothing can be compiled for {device} ({' '.join(last)[:200]}): pip install "
            f"'autoregressive-zoo[{device}]' into an environment of its own."
        )


def grown(found: dict[str, Any], stored: dict[str, Any]) -> list[str]:
    """What a program has more of than the stored one, in words.

    Example:
      >>> grown({"kernels": 12.0, "copied": 0}, {"kernels": 10.0, "copied": 0})
      ['kernels 12.0, stored 10.0']
    """
    return [
        f"{name} {found[name]}, stored {stored[name]}"
        for name, slack in SLACK.items()
        if name in stored and found.get(name, 0) > slack * stored[name]
    ]


def main(options: Options) -> None:
    """The command; the exit code is 1 if a program does not compile or has grown."""
    if options.inside:
        compile_all(options.inside, options)
        return
    table = json.loads(TABLE.read_text("utf-8")) if TABLE.exists() else {}
    stored = table.setdefault(f"{options.size}/{options.batch}", {})
    worse = 0
    for device in options.devices:
        for found in found_by(device, options):
            key, error = found.pop("key"), found.get("error")
            said = [error] if error else grown(found, {} if options.store else stored.get(key, {}))
            worse += bool(said)
            numbers = " ".join(f"{name}={value}" for name, value in found.items())
            verdict = "WORSE" if said else "ok" if options.store or key in stored else "new"
            print(f"{verdict:5} {key} {'; '.join(said) or numbers}", flush=True)
            if options.store and not error:
                stored[key] = {name: found[name] for name in SLACK}
        if options.store:
            write_whole(TABLE, (json.dumps(table, indent=1, sort_keys=True) + "\n").encode())
    if worse:
        raise ValueError(f"{worse} programs do not compile or have grown.")


if __name__ == "__main__":
    command(main, Options, called("benchmarks.compile_check"))
