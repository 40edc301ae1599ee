"""`python -m sample.demo` opens a page in the browser on which trained models draw, write and sound.

The page is served on this machine alone, and needs no network.
"""

import dataclasses
import errno
import webbrowser
from pathlib import Path
from typing import Annotated

import tyro

from sample.demo.exhibits import Exhibits
from sample.demo.server import Server
from zoo.cli import called, command
from zoo.core.checkpoint import FILE
from zoo.core.model_files import find_run
from zoo.foundation.packages import BOX


@dataclasses.dataclass(frozen=True)
class Options:
    """Serves a page on which models complete digits, write texts, sound, translate and describe."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[RUN ...]")] = ()
    """Run folders or names of models; by default the weights that come with the project."""
    port: int = 8000
    """The port of 127.0.0.1; 0 takes a free one."""
    browser: bool = True
    """Open the page in the browser."""


def server(options: Options) -> Server:
    """The server of the page, which listens already.

    Raises:
      ValueError: there are no models, or the port is taken.
    """
    folders = [find_run(run).parent for run in options.runs]
    folders = folders or [path.parent for path in sorted(BOX.glob(f"*/{FILE}"))]
    if not folders:
        raise ValueError(f"there are no weights in {BOX}: name runs, such as runs/made.")
    try:
        return Server(Exhibits([Path(folder) for folder in folders]), options.port)
    except (OSError, OverflowError) as error:
        taken = getattr(error, "errno", None) == errno.EADDRINUSE
        reason = "is taken" if taken else f"cannot be used ({error})"
        raise ValueError(
            f"port {options.port} {reason}: pass another --port, or 0 for a free one."
        ) from None


def main(options: Options) -> None:
    """Serves until it is interrupted."""
    with server(options) as running:
        names = ", ".join(running.exhibits.folders)
        print(f"demo: {running.address} with {names} (Ctrl-C ends it)", flush=True)
        if options.browser:
            webbrowser.open(running.address)
        running.serve_forever()


if __name__ == "__main__":
    command(main, Options, called("sample.demo"))
