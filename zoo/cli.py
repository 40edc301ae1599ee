"""What a command does with its flags, its errors and an interrupt."""

import contextlib
import difflib
import errno
import importlib.util
import io
import os
import re
import runpy
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo.foundation.compilation_cache import cache_compilations
from zoo.foundation.outside.ending import lost

OUT_OF_MEMORY = "not enough memory: ask for less at a time, or for fewer, shorter or smaller ones."
FLAGS = 3  # that a message names at most for a wrong one
TRACEBACK = "ZOO_TRACEBACK"
TOO_LARGE = "a number is larger than a computer can hold: choose smaller ones"


def out_of_memory(error: Exception) -> bool:
    """Whether memory does not suffice."""
    return isinstance(error, MemoryError) or (
        type(error).__name__ in ("JaxRuntimeError", "XlaRuntimeError")
        and any(words in str(error) for words in ("RESOURCE_EXHAUSTED", "Out of memory"))
    )


def unwritable(error: Exception) -> str | None:
    """The place that may not be written, as in a container that is read-only, or None.

    A file that is there and may not be read is another matter.
    """
    if not isinstance(error, OSError) or error.errno not in (
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
    ):
        return None
    path = str(error.filename or "a file")
    return None if Path(path).is_file() and not os.access(path, os.R_OK) else path


def complaint(error: Exception, elsewhere: str = "") -> str:
    """What a user is told of an error that can be put right, in one line; any other error is raised
    again, and with the environment variable ZOO_TRACEBACK every error.

    `elsewhere` is the flag that names another place for what the command writes. An error inside a
    user's own model file begins with its place, FILE.py:LINE.
    """
    from zoo.core.model_files import ModelFileError, place

    if os.environ.get(TRACEBACK):
        raise error
    where = None if isinstance(error, ModelFileError) or out_of_memory(error) else place(error)
    if where:
        said = " ".join(f"{type(error).__name__}: {error}".partition("\n\n")[0].split())
        return f"{where}: {said.rstrip('.')}. {TRACEBACK}=1 shows the whole traceback."
    if elsewhere and (path := unwritable(error)):
        return f"{path} may not be written here: choose another place by {elsewhere}."
    if isinstance(error, ValueError | OSError | ImportError | NotImplementedError):
        return " ".join(str(error).split())
    if isinstance(error, OverflowError):
        return f"{TOO_LARGE} ({error})."
    if out_of_memory(error):
        return OUT_OF_MEMORY
    if (gone := lost(error)) is not None:
        return gone
    raise error


def any_stdout() -> None:
    """Lets stdout take any text: characters that its encoding lacks are written as \\xNN, \\uNNNN."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def read_flags(options: type, prog: str, **more: Any) -> Any:
    """`tyro.cli`, but what is wrong with the flags ends in one line of stderr, and exit code 2."""
    import tyro

    any_stdout()
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(options, prog=prog, **more)
    except SystemExit as stop:
        if stop.code:
            print(f"error: {_one_line(said.getvalue())}; flags: {prog} --help", file=sys.stderr)
        raise


def _one_line(box: str) -> str:
    """What stands in tyro's box, or in the plain lines that it writes in ASCII: no title, no frame,
    no hint at the help.
    """
    framed = box.startswith("╭")
    lines = [line for line in box.splitlines() if line[:1] not in ("╭", "╰")]
    lines = _unbroken([(line[2:-2] if framed else line).rstrip() for line in lines])
    parts = re.split(r"\n[─-]+\n", "\n".join(lines))[0 if framed else 1 :]
    kept = [
        " ".join(_with_few_flags(part, parts[0]).split())
        for part in parts
        if not part.startswith(("For full helptext", "Argument helptext"))
    ]
    return ("; ".join(kept) or " ".join(box.split())).rstrip(".")


def _with_few_flags(part, first):
    """A list of flags that a wrong one may have meant, cut to those most like it; any other part as
    it is. The wrong flag is named before the list, or in the first part.
    """
    head, *flags = re.split(r"\n(?=--)", part)
    wrong = re.search(r"--[\w.\-]+", f"{head} {first}")
    if len(flags) <= FLAGS or wrong is None:
        return part
    names = {flag.split()[0]: flag for flag in flags}
    near = difflib.get_close_matches(wrong[0], names, n=FLAGS, cutoff=0.0)
    return "\n".join([head, *(names[name] for name in near)])


def _unbroken(lines):
    """The lines without blanks around them; a word longer than a line, which was broken at the end
    of one, is whole again.
    """
    width = max(map(len, lines), default=0)
    whole, full = [""], False
    for line in lines:
        text = line.strip()
        end, start = whole[-1].rpartition(" ")[2], text.partition(" ")[0]
        if full and len(end) + len(start) > width:
            whole[-1] += text
        else:
            whole.append(text)
        full = len(line) == width and bool(line.strip("─- "))
    return whole[1:]


_CONSOLE: dict[str, str] = {}  # the commands of the console script by module, while it runs


def say_commands(names: Mapping[str, str]) -> None:
    """From now on messages name commands as the console script does; `names` has them by module."""
    _CONSOLE.update(names)


def called(module: str) -> str:
    """How a user calls the command of a module.

    Example:
      >>> called("train")
      'python -m train'
    """
    return f"zoo {_CONSOLE[module]}" if module in _CONSOLE else f"python -m {module}"


def python(module: str) -> list[str]:
    """The words that run the command of a module in a new process.

    Under the console script the current folder stays off the search path (-P), so that no file in
    it is mistaken for a part of the project.
    """
    if module in _CONSOLE:
        return [sys.executable, "-P", "-m", "zoo", _CONSOLE[module]]
    return [sys.executable, "-m", module]


@contextlib.contextmanager
def shell(elsewhere: str = "", keep_programs: bool = True) -> Iterator[None]:
    """What a command line runs in: a warning is one line of stderr, an error ends in one line and
    exit code 1, an interrupt in exit code 130. `elsewhere` is the flag of the place that it writes.
    Compiled programs are kept for the next command, unless a command measures how long they take
    to compile.
    """
    if keep_programs:
        cache_compilations()
    formatted, warnings.formatwarning = warnings.formatwarning, _warning_line
    try:
        yield
    except Exception as error:
        sys.exit(f"error: {complaint(error, elsewhere)}")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        warnings.formatwarning = formatted


def _warning_line(message, *where, **line):
    return f"warning: {' '.join(str(message).split())}\n"


def command(main: Callable[[Any], None], options: type, prog: str, elsewhere: str = "") -> None:
    """Calls `main` with the options that the flags say, in a `shell`."""
    with shell(elsewhere):
        main(read_flags(options, prog))


def forward(module: str) -> None:
    """Runs a command that lies beside the packages and is not installed with them, as `python -m`
    would.
    """
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        sys.exit(
            f"error: {module} is not installed with the packages: call it in the folder of the "
            "project."
        )
    runpy.run_module(module, run_name="__main__", alter_sys=True)
