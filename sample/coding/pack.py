"""`python -m sample.coding.pack RUN FILE` compresses a file of data by a trained model."""

import dataclasses
import shlex
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

import zoo
from sample.coding import container
from sample.coding.codec import coded
from sample.coding.forms import data_files
from sample.coding.forms.pairs import read_context
from sample.coding.symbols import check_coded
from zoo.cli import called, command
from zoo.core.checks import kind
from zoo.core.model_files import find_run, load_file
from zoo.foundation.files import write_whole

SUFFIX = ".arz"


@dataclasses.dataclass(frozen=True)
class Options:
    """Compresses a file of data by a trained model, without loss."""

    run: Annotated[str, tyro.conf.Positional]
    """A checkpoint, a run's folder, or a model's name: its newest run."""
    file: Annotated[Path, tyro.conf.Positional]
    """What the kind of the model reads: an .npy; a picture, a text, a .wav, or a folder of them; a
    .csv of levels; a .tsv of pairs; a folder with captions.tsv.
    """
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.arz")] = None
    """The compressed file; by default FILE with .arz behind its name."""
    label: int | None = None
    """The label of all examples, for a class-conditional model."""
    context: Annotated[Path | None, tyro.conf.arg(metavar="FILE.npy")] = None
    """What the model conditions on, a row for each example; it is not stored. A .tsv of pairs and a
    folder with captions.tsv bring their own.
    """
    quantised: bool = False
    """Compress the nearest that the model describes, such as a sound of its levels, if it does not
    describe the file.
    """
    batch_size: int = 256
    """How many examples are coded at once."""
    classes: tuple[str, ...] = ()
    """Model files (FILE.py) that define the classes of the run."""


def named(path: Path) -> Path:
    """A path that has a name, with the user's own folder for ~.

    Example:
      >>> named(Path("a/b")).as_posix(), named(Path("a/..")).name == Path.cwd().name
      ('a/b', True)
    """
    path = path.expanduser()
    return path.resolve() if path.name in ("", "..") else path


def context_of(model: Any, num: int, label: int | None, path: Path | None, form: Any = None) -> Any:
    """The context of `num` examples that the flags give.

    Raises:
      ValueError: both are given, the file cannot be read, or the model needs one and has none.
    """
    if label is not None and path is not None:
        raise ValueError("--label and --context are both given: drop one of them.")
    if label is not None:
        return np.full(num, label, np.int32)
    if path is not None:
        return read_context(model, path, form)
    if model.why_invalid(None):
        flags = {
            "translation": "--context FILE (sources, one a line, or a .tsv)",
            "captions": "--context FOLDER (of the images)",
        }
        raise ValueError(
            f"{kind(model)} conditions on a context ({model.why_invalid(None)}): pass "
            f"{flags.get(model.kind, '--label or --context FILE.npy')}."
        )
    return None


def run(options: Options) -> None:
    """Compresses what the command line asks for.

    Raises:
      ValueError: the file cannot be compressed by this model, or the other one exists.
    """
    for file in options.classes:
        load_file(file)
    if options.batch_size < 1:
        raise ValueError(f"--batch-size must be at least 1; got {options.batch_size}.")
    model, variables = zoo.open(find_run(options.run))
    check_coded(model)
    path, given = named(options.file), options.context and named(options.context)
    out = named(options.out or path.with_name(path.name + SUFFIX))
    data_files.check_free(out)
    contents = data_files.read(model, path, options.quantised)
    context = contents.context
    if context is None:
        context = context_of(model, len(contents.x), options.label, given)
    elif options.label is not None or given is not None:
        raise ValueError(f"{path} brings its own context: drop --label and --context.")
    began = time.perf_counter()
    header, payload = coded(
        contents.model, variables, contents.x, context,
        batch_size=options.batch_size, last=contents.last,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    data = container.wrapped({**header, "name": path.name, "file": contents.form}, payload)
    write_whole(out, data)
    sites = (len(contents.x) - 1) * contents.model.num_sites + contents.last
    dims = sites * (contents.model.num_dims // contents.model.num_sites)
    files = _files(path, contents.form)
    size = sum(file.stat().st_size for file in files)
    print(
        f"{kind(model)}: {len(data):,} bytes ({len(payload):,} of them payload) for the {size:,} of "
        f"{path}, {8 * len(payload) / dims:.4f} bits/dim, in {seconds:.1f} s with compilation"
    )
    if path.is_dir() and contents.form["is"] != "captions":
        others = sum(file.is_file() for file in path.rglob("*")) - len(files)
        if others:
            print(f"not compressed: {others:,} other files of {path}")
    words = [options.run, str(out)]
    if options.label is not None:
        words += ["--label", str(options.label)]
    elif given is not None or contents.context is not None:
        words += ["--context", str(given or path)]
    words += [word for file in options.classes for word in ("--classes", file)]
    print(f"compressed: {out}; back: {called('sample.coding.unpack')} {shlex.join(words)}")


def _files(path, form):
    """The files that were compressed."""
    if path.is_file():
        return [path]
    return [path / name for name in (["captions.tsv"] if "columns" in form else form["names"])]


def main() -> None:
    """The command line. An error is one line, and exit code 1."""
    command(run, Options, called("sample.coding.pack"), "--out FILE")


if __name__ == "__main__":
    main()
