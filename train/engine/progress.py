"""The progress bar of whatever takes long."""

import sys

from tqdm import tqdm


def progress_bar(total: int, unit: str, initial: int = 0, delay: float = 0) -> tqdm:
    """A progress bar on stderr; where that is a file, a line now and then. One with a delay, in
    seconds, is shown only after it, and wiped away in the end.
    """
    interval = 0.2 if sys.stderr.isatty() else 10.0
    return tqdm(
        total=total,
        initial=initial,
        unit=unit,
        delay=delay,
        leave=not delay,
        mininterval=interval,
        dynamic_ncols=True,
    )
