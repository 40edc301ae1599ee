"""One file per model: the arrays in safetensors, the model itself as JSON in the header.

Nothing in a file is ever executed.
"""

import difflib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors
import safetensors.numpy
from flax.traverse_util import flatten_dict, unflatten_dict

from zoo.core.arrays import halved, misfit, restored, variable_shapes
from zoo.core.configs import UnknownClass, check_savable, from_config
from zoo.core.generative import Generative, Variables
from zoo.core.likelihood import init
from zoo.foundation.arguments import checked, shown
from zoo.foundation.files import write_whole
from zoo.foundation.limits import least_arrays
from zoo.foundation.packages import BOX, boxed

FORMAT = "autoregressive-zoo/2"
UNSIGNED = "autoregressive-zoo/1"  # the format before it, without a digest
FILE = "model.safetensors"
SEED = "seed-"  # how the folders in that of a series begin
ROUNDED = "float16"  # in the header of a file that stores floats in half the bytes


class CheckpointError(ValueError):
    """A file that is missing, empty, truncated, corrupt or foreign.

    Example:
      >>> import zoo
      >>> try:
      ...     zoo.load("nowhere")
      ... except zoo.CheckpointError as error:
      ...     print(error)
      nowhere: no such checkpoint; expected a file that zoo.save wrote or a run's folder.
    """


@checked()
def save(
    path: str | os.PathLike, model: Generative, variables: Variables, *, rounded: bool = False
) -> None:
    """Writes `model` and its variables to one safetensors file, whole or not at all.

    The header holds a digest of the model and of all arrays, which `load` compares.

    Args:
      path: the file.
      model: the model.
      variables: its variables.
      rounded: stores float32 as float16, in half the bytes; `load` returns float32, rounded to 11
        significant bits.

    Raises:
      ValueError: `load` could not read it again: the class of the model, its head or its ordering
        is not registered, the variables are those of another model, or a weight is too large for
        float16.
      OSError: the file cannot be written.

    Example:
      >>> import jax, numpy as np, zoo
      >>> model = zoo.MADE((2, 2), hidden=(8,))
      >>> x = np.array([[[0, 1], [1, 0]], [[1, 1], [0, 0]]])
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> zoo.save("model.safetensors", model, variables)
      >>> zoo.load("model.safetensors")[0] == model
      True
    """
    config = check_savable(model)
    if not isinstance(variables, Mapping):
        raise ValueError(
            f"variables must be a dict, as zoo.init and zoo.load return it; got {shown(variables)}."
        )
    arrays = {name: np.asarray(leaf) for name, leaf in flatten_dict(variables, sep="/").items()}
    if misfit := _misfit(model, arrays):
        raise ValueError(f"these are not the variables of this {config['class']}: {misfit}.")
    text = json.dumps(config)
    header = {"format": FORMAT, "model": text}
    if rounded:
        arrays, header["stored"] = halved(arrays), ROUNDED
    header["digest"] = digest(text, arrays)
    write_whole(path, safetensors.numpy.save(arrays, header))


@checked()
def load(
    path: str | os.PathLike, *, classes: Iterable[type] = (), allow_non_finite: bool = False
) -> tuple[Generative, Variables]:
    """Reads what `save` wrote. `path` is the file, or a folder that holds one named
    model.safetensors.

    Args:
      path: the file, or its folder.
      classes: classes that the file may name beside the registered ones; see `zoo.register`.
      allow_non_finite: load weights that are infinite or nan as well, for a look at what went
        wrong.

    Raises:
      CheckpointError: the file is missing, empty, truncated, corrupt or foreign, its arrays do not
        fit its model, or a weight is infinite or nan. Files of before there was a digest load
        without that check.

    Example:
      >>> import jax, numpy as np, zoo
      >>> model = zoo.MADE((2, 2), hidden=(8,))
      >>> x = np.array([[[0, 1], [1, 0]], [[1, 1], [0, 0]]])
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> zoo.save("model.safetensors", model, variables)
      >>> loaded, arrays = zoo.load("model.safetensors")
      >>> bool((zoo.log_prob(loaded, arrays, x) == zoo.log_prob(model, variables, x)).all())
      True
    """
    path = Path(path)
    if path.is_dir():
        path = path / FILE
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such checkpoint; expected a file that zoo.save wrote or a run's folder."
        )
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        what = (
            "is empty"
            if path.stat().st_size == 0
            else f"is truncated or no safetensors file ({error})"
        )
        raise CheckpointError(f"{path}: {what}; expected a file that zoo.save wrote.") from None
    if header.get("format") not in (FORMAT, UNSIGNED):
        raise CheckpointError(
            f"{path}: a safetensors file, but not of this zoo (format {header.get('format')!r}, "
            f"expected {FORMAT!r})."
        )
    if header["format"] == FORMAT and header.get("digest") != digest(
        header.get("model", ""), arrays
    ):
        raise CheckpointError(
            f"{path}: damaged since it was written (its digest is another); take a copy, or "
            "train again."
        )
    if header.get("stored") == ROUNDED:
        arrays = {name: restored(array) for name, array in arrays.items()}
    try:
        model = from_config(json.loads(header["model"]), classes)
        misfit = _misfit(model, arrays)
        variables = None if misfit else _by_path(model, arrays)
    except UnknownClass as error:
        raise CheckpointError(f"{path}: {error}.") from None
    except Exception as error:  # a made-up configuration can fail in any way
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise CheckpointError(
            f"{path}: its header describes no model of this zoo ({reason})."
        ) from None
    if misfit:
        raise CheckpointError(f"{path}: {misfit}.")
    if not allow_non_finite and (bad := _non_finite(arrays)):
        raise CheckpointError(
            f"{path}: {bad}, so nothing sound can be computed from it; train again, or load it "
            "for a look by "
            "zoo.load(path, allow_non_finite=True)."
        )
    return model, jax.device_put(variables)  # jnp.asarray would compile a copy for every shape


def digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    """A hash (BLAKE2b, hexadecimal) of a text and of arrays: their names, types, shapes and bytes,
    in the order of names.
    """
    whole = hashlib.blake2b(text.encode(), digest_size=16)
    for name, array in sorted(arrays.items()):
        whole.update(f"\0{name}\0{array.dtype}\0{array.shape}\0".encode())
        whole.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return whole.hexdigest()


def _inside(folder):
    """The checkpoints of a run's folder, or of a series of runs, one for each seed."""
    return [*folder.glob(FILE), *folder.glob(f"{SEED}*/{FILE}")]


@checked()
def find(run: str | os.PathLike, runs: str | os.PathLike = "runs") -> Path:
    """The checkpoint file that `run` means: a file, a folder that holds one (of a series of seeds the
    newest), a name whose newest run or series in `runs` does, or `pretrained/NAME` for weights that
    come with the project.

    Raises:
      CheckpointError: no such run or file.

    Example:
      >>> import jax, numpy as np, zoo
      >>> model = zoo.MADE((2, 2), hidden=(8,))
      >>> x = np.array([[[0, 1], [1, 0]], [[1, 1], [0, 0]]])
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> from pathlib import Path
      >>> Path("runs/made").mkdir(parents=True)
      >>> zoo.save("runs/made/model.safetensors", model, variables)
      >>> zoo.find("made").as_posix()
      'runs/made/model.safetensors'
    """
    path = Path(run)
    if path.is_file() or (path / FILE).is_file():
        return path if path.is_file() else path / FILE
    if path.parts[:1] == (BOX.name,):  # from any folder
        if (file := BOX.parent / path / FILE).is_file():
            return file
        names = ", ".join(boxed(FILE)) or "nothing"
        raise CheckpointError(
            f"no weights at {path}: {BOX} has {names}; or train: python -m train MODEL."
        )
    numbered = re.compile(rf"{re.escape(str(run))}(-\d+|-series(-\d+)?)?")
    folders = [each for each in Path(runs).glob("*") if numbered.fullmatch(each.name)]
    trained = [file for folder in (path, *folders) for file in _inside(folder)]
    if not trained:
        raise CheckpointError(
            f"no trained model at {path} and none named {run!r} in {runs}; train one first: "
            f"python -m train MODEL{_alternative(path, Path(runs))}"
        )
    return max(trained, key=lambda file: file.stat().st_mtime)


def _alternative(path, runs):
    """The end of a sentence: weights in the box of that name, or the nearest name of any weights."""
    names = {name: f"{BOX.name}/{name}" for name in boxed(FILE)}
    if path.name in names:
        return f"; or take the weights that come with the project: {names[path.name]}."
    names |= {each.name: each.name for each in runs.glob("*") if (each / FILE).is_file()}
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"; or did you mean {names[near[0]]}?" if near else "."


def open(source: Any) -> tuple[Generative, Variables]:
    """The model and variables of a source: a checkpoint, a run's folder, a model's name with a run
    under runs/, or a pair.

    Args:
      source: a path, a name, or the pair (model, variables) itself.

    Raises:
      CheckpointError: there is no such run, or it cannot be read.
      ValueError: the source is none of these.

    Example:
      >>> import jax, numpy as np, zoo
      >>> model = zoo.MADE((2, 2), hidden=(8,))
      >>> x = np.array([[[0, 1], [1, 0]], [[1, 1], [0, 0]]])
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> zoo.save("model.safetensors", model, variables)
      >>> zoo.open("model.safetensors")[0] == model, zoo.open((model, variables))[0] == model
      (True, True)
    """
    if isinstance(source, str | os.PathLike):
        return load(find(source))
    pair = tuple(source) if isinstance(source, tuple | list) else (source,)
    if len(pair) == 2 and isinstance(pair[0], Generative) and isinstance(pair[1], Mapping):
        model, variables = pair
        return model, variables
    raise ValueError(
        "expected a checkpoint, a run's folder, the name of a model with a run, or a pair "
        "(model, variables); "
        f"got {' and '.join(map(shown, pair))}."
    )


def _misfit(model: Generative, arrays: dict[str, np.ndarray]) -> str | None:
    """Why the arrays are not the model's variables, in words, or None."""
    if not isinstance(model, Generative):
        return f"its header describes a {type(model).__name__}, which is no model"
    if (least := least_arrays(model)) > max(1, len(arrays)):  # before so many layers are built
        return f"it has {len(arrays)} arrays; its model has at least {least}"
    key = jax.eval_shape(lambda: jax.random.key(0))
    wanted = jax.eval_shape(lambda key: init(model, key, *model.example(1)), key)
    return misfit(flatten_dict(wanted, sep="/"), arrays)


def _by_path(model, arrays):
    """The arrays as the model's variables; a name may hold a "/" itself, as those of nn.WeightNorm."""
    paths = flatten_dict(variable_shapes(model, model.example(1)[1]))
    return unflatten_dict({path: arrays["/".join(path)] for path in paths})


def _non_finite(arrays):
    """Which weights are infinite or nan, in words, or None."""
    for name, array in arrays.items():
        if odd := int((~np.isfinite(array)).sum()):
            return f"{odd:,} of the {array.size:,} numbers of array {name!r} are infinite or nan"
    return None
