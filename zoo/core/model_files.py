"""Models in a user's own files, as commands name them: `FILE.py:Class`.

Only a file that the user names is ever executed. A saved model holds the name of its class alone.
"""

import contextlib
import dataclasses
import difflib
import inspect
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from zoo.core import checkpoint
from zoo.core.generative import Generative
from zoo.core.orderings import Ordering
from zoo.foundation.packages import PACKAGES, Beside
from zoo.foundation.registry import register

FLAG = "--classes"
_FILES: dict[str, str] = {}  # the executed files, and how the user calls each


class ModelFileError(ValueError):
    """A model file that cannot be used: the message says what to change."""


def is_own(word: str) -> bool:
    """Whether a word names a class in a file.

    Example:
      >>> is_own("my_models.py:CausalMixer"), is_own("made")
      (True, False)
    """
    return file_of(word).endswith(".py")


def file_of(word: str) -> str:
    """The file in `FILE.py:Class`.

    Example:
      >>> file_of("models/my_models.py:CausalMixer")
      'models/my_models.py'
    """
    file, colon, _ = word.rpartition(":")
    return file if colon else word


def load_file(path: str | os.PathLike) -> ModuleType:
    """Executes a model file and registers the models, heads and orderings that it defines.

    The file can import its neighbours: its folder comes first on `sys.path` meanwhile.

    Raises:
      ModelFileError: there is no such file, or it cannot be imported; the message holds the error
        and its line.
    """
    file = Path(os.path.expanduser(path)).resolve()
    if not file.is_file():
        raise ModelFileError(f"there is no model file {path}: check the path in FILE.py:Class.")
    _FILES[str(file)] = str(path)
    module = ModuleType(str(file))
    module.__file__, module.__package__ = str(file), ""
    sys.modules[module.__name__] = module  # where annotations that are strings are looked up
    try:
        with _folder_first(file.parent):
            exec(compile(file.read_bytes(), str(file), "exec", dont_inherit=True), vars(module))
        for cls in _defined(module):
            register(cls)
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise ModelFileError(f"{path} cannot be imported: {_told(error, file)}") from None
    return module


def model_class(word: str) -> tuple[type[Generative], ModuleType]:
    """The class that `FILE.py:Class` names, registered, and the module of its file.

    Raises:
      ModelFileError: the file cannot be imported, or holds no such class of models.
    """
    path = file_of(word)
    name = word.removeprefix(path).removeprefix(":")
    module = load_file(path)
    found, models = vars(module).get(name), _models(module)
    if found is None:
        near = difflib.get_close_matches(name, models, n=1, cutoff=0.4)
        hint = f" Did you mean {path}:{near[0]}?" if near else ""
        held = f"it holds {', '.join(models)}" if models else "it holds no models"
        what = f"{path} has no class {name!r}" if name else f"name a class: {path}:Class"
        raise ModelFileError(f"{what}; {held}.{hint}")
    if not (inspect.isclass(found) and issubclass(found, Generative)):
        what = "a class" if inspect.isclass(found) else f"a {type(found).__name__}"
        raise ModelFileError(
            f"{name} of {path} is {what}, but no class of models: derive it from "
            "zoo.Autoregressive."
        )
    with _one_line(path):
        register(found)
    return found, module


def find_run(word: str) -> Path:
    """The checkpoint that a RUN on the command line means: `zoo.find`, and for `FILE.py:Class` the
    newest run of that class, which is registered.

    Raises:
      CheckpointError: there is no such run.
      ModelFileError: the file cannot be used.
    """
    if not is_own(word):
        return _told_of_series(word, checkpoint.find(word))
    name = model_class(word)[0].__name__
    try:
        return _told_of_series(word, checkpoint.find(name))
    except checkpoint.CheckpointError:
        raise checkpoint.CheckpointError(
            f"no trained model named {name!r} in runs; train one first: python -m train {word}."
        ) from None


def _told_of_series(word, file):
    """The file; if it is a run of a series that was found by the series, a line says so."""
    seed = file.parent
    is_named = Path(word) in (file, seed)
    if seed.name.startswith(checkpoint.SEED) and not is_named:
        count = len(list(seed.parent.glob(f"{checkpoint.SEED}*/{checkpoint.FILE}")))
        of = f", the newest of {count} runs" if count > 1 else ""
        print(f"{word}: {seed.name} of {seed.parent}{of}", file=sys.stderr)
    return file


def take_classes(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of a command line without `--classes FILE.py`, and the files, whose classes are
    registered.

    Raises:
      ModelFileError: no file follows the flag, or it cannot be imported.
    """
    rest, files, words = [], [], iter(argv)
    for word in words:
        if word == FLAG or word.startswith(f"{FLAG}="):
            path = next(words, "") if word == FLAG else word.partition("=")[2]
            if not path or path.startswith("--"):
                raise ModelFileError(f"{FLAG} needs a file: pass {FLAG} FILE.py.")
            load_file(file_of(path))
            files.append(file_of(path))
        else:
            rest.append(word)
    return rest, files


def _defined(module: ModuleType) -> Iterator[type]:
    """The classes of a module that a checkpoint may name: models, heads and orderings."""
    for cls in list(vars(module).values()):
        known = inspect.isclass(cls) and dataclasses.is_dataclass(cls)
        if known and cls.__module__ == module.__name__:
            is_head = hasattr(cls, "quantile") and hasattr(cls, "num_params")
            if is_head or issubclass(cls, Generative | Ordering):
                yield cls


def _models(module):
    """The names of the classes of models in a module, those of the zoo left out."""
    return [
        name
        for name, cls in vars(module).items()
        if inspect.isclass(cls)
        and issubclass(cls, Generative)
        and not cls.__module__.startswith("zoo.")
    ]


@contextlib.contextmanager
def _folder_first(folder):
    """The folder comes first on the search path, but after the packages of the project."""
    beside = Beside()
    sys.meta_path.insert(0, beside)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.meta_path.remove(beside)
        with contextlib.suppress(ValueError):  # the file has taken it away
            sys.path.remove(str(folder))


@contextlib.contextmanager
def _one_line(path):
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: {error}") from None


def _told(error: BaseException, file: Path) -> str:
    """An error inside a file, in one line, with the line of the file at which it happened."""
    said = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".")
    if isinstance(error, SyntaxError):
        return f"{' '.join(said.split())}."
    frame = _last_own(error)
    if frame is None:
        return f"{said}."
    name = "" if frame.filename == str(file) else f"{_shown(frame.filename)} "
    return f"{said} ({name}line {frame.lineno})."


def place(error: BaseException) -> str | None:
    """Where in the user's own code an error happened, `FILE.py:LINE`; None if it passed through no
    model file.
    """
    frames = traceback.extract_tb(error.__traceback__)
    frame = _last_own(error)
    if frame is None or not any(each.filename in _FILES for each in frames):
        return None
    return f"{_shown(frame.filename)}:{frame.lineno}"


def _last_own(error):
    """The last frame of an error in the user's own files, or None."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((each for each in reversed(frames) if _is_users(each.filename)), None)


def _is_users(filename):
    """Whether a file is neither the project's, nor the standard library's, nor installed."""
    if filename in _FILES or filename.startswith("<"):
        return filename in _FILES
    root, file = Path(__file__).parents[2], Path(filename)
    installed = (
        sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")
    )
    others = {*map(Path, installed), *(root / name for name in ("zoo", *PACKAGES))}
    return others.isdisjoint(file.parents)


def _shown(filename):
    """A file as the user calls it, else from the current folder if it lies there."""
    return _FILES.get(filename, filename.removeprefix(f"{Path.cwd()}{os.sep}"))
