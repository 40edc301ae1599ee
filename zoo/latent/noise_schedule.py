"""The noise of a diffusion: how much at every time, and how often a time is looked at."""

import math
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int

LONGEST = 2**16  # timesteps
COSINE_OFFSET = 0.008  # so that the first steps add some noise
LARGEST_BETA = 0.999
EVEN, FIRST = 0.1, 0.05  # shares of the proposal: all times alike, and time 1


class NoiseSchedule(NamedTuple):
    """Constants of the process x_0 -> x_1 -> ... -> x_T; entry t of each array is of time t.

        q(x_t | x_0)          = N(signal_t x_0, noise_t^2)
        q(x_{t-1} | x_t, x_0) = N(from_data_t x_0 + from_noisy_t x_t, spread_t^2)

    Attributes:
      signal: sqrt(abar_t), where abar_t is the product of 1 - beta_s for s = 1..t; [T + 1].
      noise: sqrt(1 - abar_t), [T + 1].
      from_data: sqrt(abar_{t-1}) beta_t / (1 - abar_t), [T + 1].
      from_noisy: sqrt(1 - beta_t) (1 - abar_{t-1}) / (1 - abar_t), [T + 1].
      spread: sqrt(beta_t (1 - abar_{t-1}) / (1 - abar_t)); of time 1, where that is 0, sqrt(beta_1).
      kl_weight: from_data_t^2 / (2 spread_t^2), which makes nats of a squared error of x_0; 0 at the
        times 0 and 1.
      proposal: the probability with which time t is drawn, 0 for time 0.

    Example:
      >>> schedule = noise_schedule(betas_of("linear", 1000, (1e-4, 0.02)), levels=256)
      >>> schedule.signal[[0, -1]].astype(float).round(4).tolist()
      [1.0, 0.0064]
      >>> round(float(schedule.proposal.sum()), 4)
      1.0
    """

    signal: Float[np.ndarray, " times"]
    noise: Float[np.ndarray, " times"]
    from_data: Float[np.ndarray, " times"]
    from_noisy: Float[np.ndarray, " times"]
    spread: Float[np.ndarray, " times"]
    kl_weight: Float[np.ndarray, " times"]
    proposal: Float[np.ndarray, " times"]

    def time_of(
        self, u: Float[Array, " batch"]
    ) -> tuple[Int[Array, " batch"], Float[Array, " batch"]]:
        """The times that uniform numbers in [0, 1) stand for, and their probabilities."""
        ends = np.cumsum(self.proposal[1:-1], dtype=np.float64).astype(np.float32)
        t = 1 + jnp.searchsorted(jnp.asarray(ends), u, side="right").astype(jnp.int32)
        return t, jnp.asarray(self.proposal)[t]


def why_no_schedule(steps: int, ends: tuple[float, ...]) -> str | None:
    """Returns why no schedule has so many steps, or such betas at its ends; else None.

    Example:
      >>> why_no_schedule(1000, (1e-4, 0.02)), why_no_schedule(0, (1e-4, 0.02))
      (None, 'timesteps must be in 1..65,536; got 0')
    """
    if not 1 <= steps <= LONGEST:
        return f"timesteps must be in 1..{LONGEST:,}; got {steps}"
    if len(ends) != 2 or not all(0 < beta < 1 for beta in ends):
        return f"betas must be two numbers in (0, 1), of the first and of the last step; got {ends}"
    return None


def betas_of(
    schedule: Literal["linear", "cosine"], steps: int, ends: tuple[float, ...]
) -> Float64[np.ndarray, " steps"]:
    """Variances of the noise of steps 1..T.

    Args:
      schedule: `linear`, along a line between the two ends (Ho and others 2020); or `cosine`, by
        which abar_t falls as cos^2 from 1 to 0 (Nichol and Dhariwal 2021).
      steps: T.
      ends: beta_1 and beta_T of the linear schedule.

    Example:
      >>> betas_of("linear", 3, (0.1, 0.5)).round(2).tolist()
      [0.1, 0.3, 0.5]
      >>> betas_of("cosine", 3, (0.1, 0.5)).round(2).tolist()
      [0.26, 0.67, 1.0]
    """
    if schedule == "linear":
        return np.linspace(ends[0], ends[-1], steps)
    angle = (np.arange(steps + 1) / steps + COSINE_OFFSET) / (1 + COSINE_OFFSET) * math.pi / 2
    abar = np.square(np.cos(angle))
    return np.minimum(1 - abar[1:] / abar[:-1], LARGEST_BETA)


def noise_schedule(betas: Float64[np.ndarray, " steps"], levels: int | None) -> NoiseSchedule:
    """The constants of a process with these variances, in float32.

    Args:
      betas: variances of the noise of steps 1..T, in (0, 1).
      levels: how many levels the data have between -1 and 1; None for real numbers.

    Example:
      >>> noise_schedule(np.array([0.2, 0.5]), levels=2).noise.astype(float).round(3).tolist()
      [0.0, 0.447, 0.775]
    """
    beta = np.concatenate([[0.0], betas])
    abar = np.cumprod(1 - beta)
    lost = 1 - abar  # of the variance of noise, in x_t
    before = np.concatenate([[1.0], abar[:-1]])  # abar_{t-1}
    denominator = np.where(lost > 0, lost, 1.0)
    from_data = np.sqrt(before) * beta / denominator
    from_noisy = np.sqrt(1 - beta) * (1 - before) / denominator
    variance = beta * (1 - before) / denominator
    variance[1] = beta[1]
    kl_weight = np.square(from_data) / (2 * np.where(variance > 0, variance, 1.0))
    kl_weight[1] = 0.0
    arrays = {
        "signal": np.sqrt(abar),
        "noise": np.sqrt(lost),
        "from_data": from_data,
        "from_noisy": from_noisy,
        "spread": np.sqrt(variance),
        "kl_weight": kl_weight,
        "proposal": _proposal(abar, kl_weight, levels),
    }
    return NoiseSchedule(**{name: each.astype(np.float32) for name, each in arrays.items()})


def _proposal(abar, kl_weight, levels):
    """The shares of the times: the nats that each is likely to have, so that all count alike.

    Of independent values of variance 1, the squared error of x_0 is 1 / (1 + abar / (1 - abar)) =
    1 - abar. Of levels it is at most about the square of their distance, times the probability that
    noise is larger than half of it.
    """
    error = 1 - abar
    if levels is not None:
        deviations = np.sqrt(abar / np.where(abar < 1, 1 - abar, 1.0)) / (levels - 1)
        confused = np.array([math.erfc(each / math.sqrt(2)) for each in deviations])
        error = np.minimum(error, np.square(2 / (levels - 1)) * confused)
    share = kl_weight * error
    even = np.ones_like(abar)
    even[0] = share[0] = 0.0
    first = np.zeros_like(abar)
    first[1] = 1.0
    total = share.sum()
    share = share / total if total > 0 else even / even.sum()
    return (1 - EVEN - FIRST) * share + EVEN * even / even.sum() + FIRST * first
