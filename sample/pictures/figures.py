"""New matplotlib figures."""

from typing import Any


def new_figure(**options: Any) -> Any:
    """Returns a matplotlib figure without a window.

    Raises:
      ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(
            "this picture needs matplotlib: pip install 'autoregressive-zoo[plots]'."
        ) from None
    return Figure(**options)
