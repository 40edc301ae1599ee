"""What the curves of a training show, and what to do about it.

The signs are those of J. Johnson's and A. Karpathy's lectures (CS231n, training neural networks).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from train.runs.findings import ADVICE, PASS, SKIPPED, SUSPICIOUS, Finding
from train.runs.history import History

LEAST = 5  # validations, and lines of training, that make a curve
FLAT = 0.2  # of all steps, after which a tenth of the fall should be behind it
SMALL = 0.02  # of the fall, that counts as nothing
CLEAR = 0.05  # of the fall, that counts as falling
GAP = 0.1  # of the fall, between validation and training


class _Curves:
    """The curves as arrays, and the questions that the signs ask of them."""

    def __init__(self, records: Sequence[dict[str, Any]]):
        history = History(tuple(records))
        self.steps, self.train = history.steps, history.train_nats
        self.rates, self.valid_steps = history.learning_rate, history.valid_steps
        self.valid = history.valid_nats
        self.end = int(max([*self.steps, *self.valid_steps]))
        self.fall = float(self.train[0] - min(self.train.min(), self.valid.min()))
        self.gap = float(self.valid[-1] - self.train[-1])

    def train_at(self, step: float) -> float:
        return float(np.interp(step, self.steps, self.train))

    def valid_at(self, step: float) -> float:
        return float(np.interp(step, self.valid_steps, self.valid))

    def rate_at(self, step: float) -> float:
        """The rate at a step, as a share of the highest."""
        return float(np.interp(step, self.steps, self.rates) / self.rates.max())


def diagnose(records: Sequence[dict[str, Any]]) -> list[Finding]:
    """The signs that the metrics of a run show; one that says so if there are none.

    Args:
      records: the lines of metrics.jsonl, or `History.records`.

    Example:
      >>> diagnose([{"step": 50, "valid_nats": 3.0, "seconds": 1.0}])[0].verdict
      'skipped'
    """
    lines = sum("train_nats" in record for record in records)
    validations = sum("valid_nats" in record for record in records)
    if min(lines, validations) < LEAST:
        return [
            Finding(
                "length",
                SKIPPED,
                f"{lines} lines of training and {validations} validations: too short to diagnose",
                f"A curve has at least {LEAST} of each: train longer, or lower --eval-every",
            )
        ]
    curves = _Curves(records)
    if curves.fall <= SMALL * abs(curves.train[0]):
        shown = f"the loss did not fall: {curves.train[0]:.4g} nats at first"
        remedy = "Run the check (python -m train.check) and the range of rates (train.lr_range)"
        return [Finding("no learning", SUSPICIOUS, f"{shown}, {curves.train[-1]:.4g} last", remedy)]
    found = [finding for sign in SIGNS if (finding := sign(curves)) is not None]
    return found or [Finding("curves", PASS, "no sign of trouble")]


def plainly(records: Sequence[dict[str, Any]]) -> str | None:
    """The plainest sign of trouble in one line; None if there is none."""
    for finding in diagnose(records):
        if finding.verdict == SUSPICIOUS:
            return f"{finding.name}: {finding.shown}. {finding.remedy}."
    return None


def flat_at_first(curves: _Curves) -> Finding | None:
    """The loss stays where it is for a long time, and falls then: a bad initialisation."""
    fallen = curves.train[0] - curves.train >= 0.1 * curves.fall
    step = int(curves.steps[fallen.argmax()])
    if step <= FLAT * curves.end:
        return None
    return Finding(
        "flat at first",
        SUSPICIOUS,
        f"the loss stayed near {curves.train[0]:.4g} nats until step {step:,} of {curves.end:,}",
        "The initialisation is bad, or the rate too low at first: run python -m train.check, "
        "change the scale of the initial weights, shorten --warmup",
    )


def decayed_too_early(curves: _Curves) -> Finding | None:
    """The loss was falling when the rate was cut, and falls no more."""
    peak = int(curves.rates.argmax())
    high = np.flatnonzero(curves.rates >= 0.2 * curves.rates[peak])[-1]
    if high + 1 == len(curves.rates):
        return None
    cut, window = float(curves.steps[high + 1]), 0.15 * curves.end
    if not window < cut < 0.6 * curves.end:
        return None
    before = (curves.train_at(cut - window) - curves.train_at(cut)) / window
    settled = cut + window
    after = (curves.train_at(settled) - curves.train[-1]) / (curves.end - settled)
    if before * window < CLEAR * curves.fall or after > before / 5:
        return None
    return Finding(
        "decayed early",
        SUSPICIOUS,
        f"the loss fell by {1000 * before:.3g} nats in 1,000 steps when the rate was cut at step "
        f"{cut:,.0f}, and by {max(1000 * after, 0):.3g} from step {settled:,.0f} on",
        "Decay the rate later: a later --drop-at, --schedule cosine, or more --steps",
    )


def plateau(curves: _Curves) -> Finding | None:
    """Neither loss falls any more although the rate is still high."""
    start = 2 / 3 * curves.end
    ends = (curves.valid_at(start) - curves.valid[-1], curves.train_at(start) - curves.train[-1])
    if max(ends) > SMALL * curves.fall or curves.rate_at(curves.end) < 0.5:
        return None
    return Finding(
        "plateau",
        SUSPICIOUS,
        f"from step {start:,.0f} to {curves.end:,} the loss fell by {max(ends):.3g} nats of "
        f"{curves.fall:.4g}, at {curves.rate_at(curves.end):.0%} of the highest rate",
        "Decay the rate: --schedule cosine lets it fall to nothing by the last step",
    )


def overfitting(curves: _Curves) -> Finding | None:
    """Validation rises while the training loss falls, or lies far above it."""
    best = int(curves.valid.argmin())
    step = int(curves.valid_steps[best])
    rise = float(curves.valid[-1] - curves.valid[best])
    learns = curves.train[-1] < curves.train_at(step)
    if rise > SMALL * curves.fall and step < 0.8 * curves.end and learns:
        shown = f"validation was best at step {step:,} ({curves.valid[best]:.4g} nats) and rose to "
        shown += f"{curves.valid[-1]:.4g}, while training fell to {curves.train[-1]:.4g}"
        verdict = SUSPICIOUS
    elif curves.gap > GAP * curves.fall:
        shown = f"validation {curves.valid[-1]:.4g}, training {curves.train[-1]:.4g} nats"
        verdict = ADVICE
    else:
        return None
    return Finding(
        "overfitting",
        verdict,
        f"{shown}: a gap of {curves.gap:.3g}",
        "Regularise: --weight-decay, dropout where the model has it, a smaller model, more data; "
        "--patience stops in time",
    )


def still_falling(curves: _Curves) -> Finding | None:
    """Validation falls up to the last step."""
    start = 0.8 * curves.end
    last = curves.valid_at(start) - curves.valid[-1]
    if last < CLEAR * curves.fall:
        return None
    shown = f"validation fell by {last:.3g} nats in the last fifth of the steps"
    return Finding("still falling", ADVICE, shown, "Train longer: more --steps, or a higher rate")


def underfitting(curves: _Curves) -> Finding | None:
    """Training and validation agree, and both have come to rest."""
    last = curves.valid_at(0.8 * curves.end) - curves.valid[-1]
    if abs(curves.gap) > SMALL * curves.fall or not -SMALL < last / curves.fall < CLEAR:
        return None
    shown = f"no gap: validation {curves.valid[-1]:.4g}, training {curves.train[-1]:.4g} nats"
    return Finding(
        "underfitting", ADVICE, shown, "Enlarge the model; it has room before it overfits"
    )


SIGNS: tuple[Callable[[_Curves], Finding | None], ...] = (
    flat_at_first,
    decayed_too_early,
    plateau,
    overfitting,
    still_falling,
    underfitting,
)
