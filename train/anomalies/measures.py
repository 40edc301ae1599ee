"""How well a score tells outliers from examples of the data."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Separation(NamedTuple):
    """How well a score tells outliers (positive) from examples of the data.

    Attributes:
      auroc: the probability that an outlier has a higher score than an example of the data.
      auprc: the area under precision against recall (average precision).
      fpr95: the share of the data above the threshold that 95 % of the outliers reach.
    """

    auroc: float
    auprc: float
    fpr95: float


def separation(inside: Float[np.ndarray, " N"], outliers: Float[np.ndarray, " M"]) -> Separation:
    """Measures of the scores of examples of the data and of outliers, higher for what is stranger.

    Infinite scores count as the largest number.

    Raises:
      ValueError: a score is nan.
      ImportError: scikit-learn is not installed.

    Example:
      >>> separation(np.array([0.0, 1.0, 2.0]), np.array([1.5, 3.0])).auroc.__round__(4)
      0.8333
    """
    try:
        from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
    except ImportError as error:
        raise ImportError(
            f"these measures need scikit-learn: pip install 'autoregressive-zoo[data]' ({error})."
        ) from None
    scores = np.concatenate([inside, outliers])
    if np.isnan(scores).any():
        raise ValueError(f"{np.isnan(scores).sum():,} of {len(scores):,} scores are no numbers.")
    scores = np.nan_to_num(scores)
    is_outlier = np.repeat([0, 1], [len(inside), len(outliers)])
    false, true, _ = roc_curve(is_outlier, scores)
    return Separation(
        float(roc_auc_score(is_outlier, scores)),
        float(average_precision_score(is_outlier, scores)),
        float(false[np.argmax(true >= 0.95)]),
    )
