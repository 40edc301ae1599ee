"""`python -m sample.coding.unpack RUN FILE.arz` gives back what was compressed."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

import zoo
from sample.coding import container
from sample.coding.codec import decoded
from sample.coding.forms import data_files
from sample.coding.pack import SUFFIX, context_of, named
from zoo.cli import called, command
from zoo.core.model_files import find_run, load_file


@dataclasses.dataclass(frozen=True)
class Options:
    """Gives back the file that was compressed, by the same model."""

    run: Annotated[str, tyro.conf.Positional]
    """The run that it was compressed by."""
    file: Annotated[Path, tyro.conf.Positional]
    """The compressed file."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Where the data go; by default beside the compressed file, under the name that they had."""
    label: int | None = None
    """The label that the examples were compressed with."""
    context: Annotated[Path | None, tyro.conf.arg(metavar="FILE.npy")] = None
    """The context that the examples were compressed with; of translations a file of sources, of
    captions the folder of images.
    """
    classes: tuple[str, ...] = ()
    """Model files (FILE.py) that define the classes of the run."""


def run(options: Options) -> None:
    """Writes what the command line asks for.

    Raises:
      ValueError: the file was not compressed by this model or is damaged, or another would be
        overwritten.
    """
    for file in options.classes:
        load_file(file)
    model, variables = zoo.open(find_run(options.run))
    path, given = named(options.file), options.context and named(options.context)
    if not path.is_file():
        raise ValueError(f"there is no file {path}; expected one that ends with {SUFFIX}.")
    header, payload = container.unwrapped(path.read_bytes())
    form, num = header.get("file"), header.get("num")
    if not isinstance(form, dict) or type(num) is not int:
        raise ValueError(f"{path} holds values without a file; use sample.decompress in Python.")
    out = named(options.out or path.with_name(_name(header, form)))
    data_files.check_free(out)
    data_files.check_suffix(out, form)
    context = context_of(model, num, options.label, given, form)
    x = decoded(model, variables, header, payload, context)
    data_files.write(model, x, form, out, given)
    print(f"{num:,} examples: {out}")


def _name(header, form):
    """The name that the data had; a picture comes back as a .png, a sound as a .wav, captions of a
    folder as a .tsv.
    """
    name = Path(str(header.get("name", "data"))).name
    if form.get("is") == "captions":
        return f"{name}.tsv"
    suffix = data_files.suffix_of(form)
    is_named_so = Path(name).suffix.lower() == suffix
    return name if not suffix or is_named_so else str(Path(name).with_suffix(suffix))


def main() -> None:
    """The command line. An error is one line, and exit code 1."""
    command(run, Options, called("sample.coding.unpack"), "--out FILE")


if __name__ == "__main__":
    main()
