"""What a command does with its flags, its errors and an interrupt."""

import sys
from collections.abc import Callable
from typing import Any

OUT_OF_MEMORY = "error: not enough memory: ask for less at a time, or for fewer, shorter or smaller ones."


def out_of_memory(error: Exception) -> bool:
    """Whether memory does not suffice, or a size is none that a computer could have."""
    return isinstance(error, MemoryError | OverflowError) or (
        type(error).__name__ == "JaxRuntimeError"
        and any(words in str(error) for words in ("RESOURCE_EXHAUSTED", "Out of memory"))
    )


def command(main: Callable[[Any], None], options: type, prog: str) -> None:
    """Calls `main` with the options that the flags say. An error is one line and exit code 1, an interrupt code 130."""
    import tyro

    try:
        main(tyro.cli(options, prog=prog))
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except Exception as error:
        if not out_of_memory(error):
            raise
        sys.exit(OUT_OF_MEMORY)
    except KeyboardInterrupt:
        sys.exit(130)
