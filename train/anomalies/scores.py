"""Scores of how strange an example is, higher for stranger ones. All begin with -log p(x), nats.

| score | of an example | reference |
|---|---|---|
| raw | -log p(x) | |
| typicality | abs(-log p(x) - H), H the mean of it over validation | Nalisnick et al. 2019 |
| ratio | log q(x) - log p(x), q a background model | Ren et al. 2019 |
| png, webp, zlib | -log2 p(x) - bits of the compressed example | Serra et al. 2020 |

**References**: E. Nalisnick et al., Detecting out-of-distribution inputs to deep generative models
using typicality, 2019. J. Ren et al., Likelihood ratios for out-of-distribution detection, NeurIPS
2019. J. Serra et al., Input complexity and out-of-distribution detection with likelihood-based
generative models, ICLR 2020.
"""

import io
import math
import zlib
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Shaped

import zoo
from train.data.quantise import brightness

NATS = math.log(2)  # of a bit


def typicality(nats: Float[np.ndarray, " N"], entropy: float) -> Float[np.ndarray, " N"]:
    """How far -log p(x) is from its mean over the data.

    Example:
      >>> typicality(np.array([90.0, 100.0, 130.0]), entropy=100.0).tolist()
      [10.0, 0.0, 30.0]
    """
    return np.abs(nats - entropy)


def ratio(
    nats: Float[np.ndarray, " N"], background: Float[np.ndarray, " N"]
) -> Float[np.ndarray, " N"]:
    """log q(x) - log p(x): how much likelier an example is under the background model q.

    Example:
      >>> ratio(np.array([90.0, 100.0]), np.array([120.0, 90.0])).tolist()
      [-30.0, 10.0]
    """
    return nats - background


def complexities(
    model: zoo.Generative, x: Shaped[np.ndarray, "N ..."]
) -> dict[str, Float[np.ndarray, " N"]]:
    """The bits of each example as a general coder writes it, by the coder's name; none of tables.

    Example:
      >>> found = complexities(zoo.MADE((8, 8)), np.zeros((1, 8, 8), np.uint8))
      >>> sorted(found), bool(found["png"][0] < 1000)
      (['png', 'webp'], True)
    """
    coders, levels = CODERS.get(model.kind, {}), model.head.num_values
    if levels is None:
        return {}
    values = brightness(np.asarray(x), levels) if model.kind == "images" else np.asarray(x)
    return {
        name: np.array([8.0 * len(code(each)) for each in values]) for name, code in coders.items()
    }


def _png(image):
    from PIL import Image

    written = io.BytesIO()
    Image.fromarray(_plane(image)).save(written, "PNG", optimize=True)
    return written.getvalue()


def _webp(image):
    from PIL import Image

    written = io.BytesIO()
    picture = Image.fromarray(_plane(image)).convert("RGB")
    picture.save(written, "WEBP", lossless=True, quality=100)
    return written.getvalue()


def _plane(image):
    """Without the axis of a single colour."""
    image = image.astype(np.uint8)
    return image[..., 0] if image.shape[2:] == (1,) else image


def _zlib(line):
    dtype = np.uint8 if line.max(initial=0) < 256 else np.uint16
    return zlib.compress(line.astype(dtype).tobytes(), 9)


Coder = Callable[[np.ndarray], bytes]
LINES: dict[str, Coder] = {"zlib": _zlib}
CODERS = {"images": {"png": _png, "webp": _webp}, "text": LINES, "sound": LINES}


def stand_ins(
    model: zoo.Generative, x: Shaped[np.ndarray, "N ..."], random: np.random.Generator
) -> Shaped[np.ndarray, "N ..."]:
    """Outliers made from the data, by which a background model is chosen without real ones.

    Images, texts and sounds are reversed along every axis of sites: the values and what lies beside
    what stay, the meaning does not. The columns of a table are shuffled among the rows, each by
    itself: each column stays as it is distributed, the dependences do not.

    Example:
      >>> x = np.arange(6).reshape(1, 2, 3)
      >>> stand_ins(zoo.MADE((2, 3)), x, np.random.default_rng(0)).tolist()
      [[[5, 4, 3], [2, 1, 0]]]
    """
    if model.kind != "table":
        return np.flip(x, tuple(range(1, 1 + len(model.site_shape))))
    return random.permuted(x, axis=0)
