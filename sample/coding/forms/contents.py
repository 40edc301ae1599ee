"""What is in a file of data."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped


class Contents(NamedTuple):
    """What is in a file.

    Attributes:
      model: at the length of the rows, if it describes sequences.
      x: values of the model, [num, *site_shape, *event_shape].
      last: how many ranks of the last example are part of the file.
      form: how the file is made of the values, as JSON.
      context: what the model conditions on, if the file brings it.
    """

    model: Any
    x: Shaped[np.ndarray, "num ..."]
    last: int
    form: dict[str, Any]
    context: Any = None
