"""What a command does with its flags, its errors and an interrupt."""

import sys
from collections.abc import Callable
from typing import Any


def command(main: Callable[[Any], None], options: type, prog: str) -> None:
    """Calls `main` with the options that the flags say. An error is one line and exit code 1, an interrupt code 130."""
    import tyro

    try:
        main(tyro.cli(options, prog=prog))
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        sys.exit(130)
