"""`python -m benchmarks.compile_check`: what every model is compiled to for a TPU v5e and an H100.

It compiles the draw, the likelihood and the update of each model for these devices, which need not be
there, and compares the programs with a stored table. Each device has a process, which needs the
extra `tpu` or `cuda`. A program is worse than the stored one if it launches more kernels, copies
more, has more conditionals or loops of unknown length, or needs more temporary memory.
"""

import contextlib
import dataclasses
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import tyro

import zoo
from benchmarks.absent_devices.programs import count_program
from zoo.cli import called, command
from zoo.core.model_files import is_own
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
INSTALL = {"tpu": "jax[tpu]", "cuda": "jax[cuda12]"}
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
    """Names of models in the catalogue, by default all; or FILE.py:Class of a model of yours."""
    devices: tuple[Device, ...] = ("tpu", "cuda")
    """A TPU v5e (tpu), an H100 (cuda)."""
    size: Literal["tiny", "paper"] = "tiny"
    """Which instance of each model; the table has the tiny ones."""
    batch: int = 8
    """Examples in a batch; the table has programs for 8."""
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


def recipe_of(name: str, size: str) -> Any:
    """The recipe of a model: of the catalogue its instance of that size, else a user's own.

    Raises:
      ValueError: no such model.
    """
    from train.cli.own_models import own_recipe
    from train.recipe.presets import RECIPES

    if is_own(name):
        return own_recipe(name, called("benchmarks.compile_check"), [])
    entry = zoo.entry(name)
    recipe = RECIPES[name].get("paper") or RECIPES[name]["cpu"]
    return dataclasses.replace(recipe, model=getattr(entry, size))


def programs(name: str, options: Options) -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """(what it computes, the function, its arguments as shapes) of each program of a model."""
    import jax.numpy as jnp

    import sample
    from train.engine.step import _step, initial_state
    from zoo.core.bounds import draw_values

    recipe = recipe_of(name, options.size)
    model = recipe.model
    x, context = zoo.example(model, 2)

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
    recipe = dataclasses.replace(
        recipe, batch_size=options.batch, accumulate=1, encoder=None, encoder_rate=1.0
    )
    given = jax.ShapeDtypeStruct((options.batch,), bool) if model.streams else context
    state = jax.eval_shape(functools.partial(initial_state, recipe), x, given)
    yield "update", functools.partial(_step, recipe, None), (state, x, given)


def compile_all(device: Device, options: Options) -> None:
    """Compiles for a device, and prints a line of JSON for each program.

    Raises:
      ValueError: the device's compiler is not installed.
    """
    from jax.sharding import SingleDeviceSharding

    try:
        there = SingleDeviceSharding(absent(device))
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        words = f"{sys.executable} -m pip install '{INSTALL[device]}=={jax.__version__}'"
        other = "cuda" if device == "tpu" else "tpu"
        raise ValueError(
            f"there is no compiler for {device} ({said}): {words}; --devices {other} leaves it out."
        ) from None

    def on_device(leaf):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=there)

    for name in options.models or tuple(zoo.CATALOGUE):
        sites = recipe_of(name, options.size).model.num_sites
        with reported(f"{device}/{name}"):
            for what, function, arguments in programs(name, options):
                with reported(f"{device}/{name}/{what}") as found:
                    traced = jax.jit(function).trace(*jax.tree.map(on_device, arguments))
                    compiled = traced.lower(lowering_platforms=(device,)).compile()
                    counted = count_program(compiled.as_text())
                    kernels = counted["kernels"] / (sites if what == "draw" else 1)
                    found["kernels"] = round(kernels, 2)
                    found |= {each: counted[each] for each in ("copied", "conditionals", "waits")}
                    found["temporary"] = compiled.memory_analysis().temp_size_in_bytes


@contextlib.contextmanager
def reported(key: str) -> Iterator[dict[str, Any]]:
    """Prints what is put into the dictionary, or the error that ends the block, as a line of JSON."""
    began, found = time.monotonic(), dict[str, Any]()
    try:
        yield found
    except Exception as error:
        found["error"] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    if found:
        found["seconds"] = round(time.monotonic() - began, 1)
        print(json.dumps({"key": key, **found}), flush=True)


def found_by(device: Device, options: Options) -> Iterator[dict[str, Any]]:
    """What a process that compiles for a device prints, line by line.

    Raises:
      ValueError: the process ended with an error, such as without the device's compiler.
    """
    words = [*options.models, "--inside", device, "--size", options.size]
    words += ["--batch", str(options.batch)]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", **ENVIRONMENT[device]}
    with tempfile.TemporaryFile("w+") as said:  # a pipe that nobody reads would fill up
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.compile_check", *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("{"):
                    yield json.loads(line)
        finally:
            process.kill()
            code = process.wait()
        said.seek(0)
        last = said.read().strip().splitlines()[-1:]
    if code:
        raise ValueError(" ".join(last).removeprefix("error: ") or f"{device}: exit code {code}")


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


def check(options: Options) -> None:
    """Raises ValueError in advance if the options ask for what cannot be."""
    if options.batch < 1:
        raise ValueError(f"--batch must be at least 1; got {options.batch}.")
    own = [name for name in options.models if is_own(name)]
    if options.store and own:
        raise ValueError(f"--store is for models of the catalogue; {own[0]} is compared only.")
    for name in options.models:
        recipe_of(name, options.size)


def main(options: Options) -> None:
    """The command; the exit code is 1 if a program does not compile or has grown."""
    check(options)
    if options.inside:
        compile_all(options.inside, options)
        return
    table = json.loads(TABLE.read_text("utf-8")) if TABLE.exists() else {}
    stored = table.setdefault(f"{options.size}/{options.batch}", {})
    worse, new, count = [], 0, 0
    for device in options.devices:
        for found in found_by(device, options):
            key, error = found.pop("key"), found.get("error")
            said = [error] if error else grown(found, {} if options.store else stored.get(key, {}))
            numbers = " ".join(f"{name}={value}" for name, value in found.items())
            verdict = "WORSE" if said else "ok" if options.store or key in stored else "new"
            print(f"{verdict:5} {key} {'; '.join(said) or numbers}", flush=True)
            worse += [f"{key} ({said[0]})"] if said else []
            new, count = new + (verdict == "new"), count + 1
            if options.store and not error:
                stored[key] = {name: found[name] for name in SLACK}
                table["jax"] = jax.__version__
                write_whole(TABLE, (json.dumps(table, indent=1, sort_keys=True) + "\n").encode())
    if new:
        advice = "" if any(map(is_own, options.models)) else "; --store adds them"
        print(f"{new} of {count} programs have no stored one to compare with{advice}.")
    if worse:
        raise ValueError(_summary(worse, count, table.get("jax", jax.__version__)))


def _summary(worse, count, stored_by):
    """What has grown, and what to do, in a line."""
    named = "; ".join(worse[:3]) + (", ..." if worse[3:] else "")
    said = f"{len(worse)} of {count} programs have grown or do not compile: {named}."
    said += " Change them back, or store what is meant with --store."
    if stored_by != jax.__version__:
        said += f" They were stored by jax {stored_by}, and this is {jax.__version__}."
    return said


if __name__ == "__main__":
    command(main, Options, called("benchmarks.compile_check"))
