"""The idx format of MNIST and its relatives: two zero bytes, a type code, the rank, big-endian
sizes, the values.
"""

import numpy as np
from jaxtyping import UInt8

from train.data.dataset import DataError


def parse_idx(content: bytes, name: str) -> UInt8[np.ndarray, "..."]:
    """Reads an idx file of unsigned bytes; `name` is for the error message."""
    rank = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    shape = np.frombuffer(content[4 : 4 + 4 * rank], ">u4").astype(int)
    if not rank or len(shape) != rank or len(content) != 4 + 4 * rank + np.prod(shape):
        raise DataError(
            f"{name} is not a whole idx file of unsigned bytes; fetch the original again"
        )
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)
