"""The progress bar of whatever takes long."""

import sys

from tqdm import tqdm


def progress_bar(total: int, unit: str, initial: int = 0, delay: float = 0) -> tqdm:
    """A progress bar on stderr, where that is a terminal; in a file there is none, and what `write`
    says is all. One with a delay, in seconds, is shown only after it, and wiped away in the end.
    """
    return tqdm(
        total=total,
        initial=initial,
        unit=unit,
        delay=delay,
        leave=not delay,
        mininterval=0.2,
        disable=not sys.stderr.isatty(),
        dynamic_ncols=True,
    )
