"""Pictures of waveforms and spectrograms."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import Float, Num

from sample.pictures.figures import new_figure
from zoo.foundation.arguments import array, checked

# Of a spectrogram: the window and the hop in samples, the range in decibels below the loudest.
_WINDOW, _HOP, _RANGE = 256, 64, 80.0


@checked(rate=1)
def save_waveforms(
    path: str | os.PathLike, waves: Num[np.ndarray, "num samples"], rate: int
) -> Path:
    """Writes a PNG file with one row per sound: its waveform and its spectrogram.

    Args:
      path: the file.
      waves: sounds in [-1, 1], [num, samples].
      rate: samples per second.

    Returns:
      The path.

    Raises:
      ImportError: matplotlib is not installed.
      ValueError: `waves` has another shape.

    Example:
      >>> import numpy as np
      >>> import sample
      >>> waves = np.sin(np.arange(500) / 5)[None]
      >>> sample.save_waveforms("waves.png", waves, rate=1000).name
      'waves.png'
    """
    waves = array(waves, "waves")
    if waves.ndim != 2 or not waves.size:
        raise ValueError(
            f"waves must have shape [num, samples], none of them 0; got {list(waves.shape)}."
        )
    figure = new_figure(figsize=(12, 1 + 1.6 * len(waves)), layout="constrained")
    rows = figure.subplots(len(waves), 2, squeeze=False, sharex=True)
    seconds = waves.shape[1] / rate
    for wave, (left, right) in zip(waves, rows, strict=True):
        left.plot((np.arange(len(wave)) + 0.5) / rate, wave, linewidth=0.5)
        left.set_ylim(-1, 1)
        loud = spectrogram(wave)
        extent = (0, seconds, 0, rate / 2000)
        right.imshow(
            loud,
            origin="lower",
            aspect="auto",
            extent=extent,
            vmin=loud.max() - _RANGE,
            cmap="magma",
        )
        right.set_ylabel("kHz")
    for axes in rows[-1]:
        axes.set_xlabel("s")
    figure.savefig(path, dpi=100, format="png")
    return Path(path)


@checked()
def spectrogram(wave: Num[np.ndarray, " samples"]) -> Float[np.ndarray, "frequencies times"]:
    """Computes the power in decibels at 129 frequencies from 0 to rate / 2, every 64 samples, in a
    Hann window of 256 samples.

    Args:
      wave: a sound, [samples].

    Returns:
      [129, 1 + samples // 64].

    Raises:
      ValueError: `wave` has another shape.

    Example:
      >>> import numpy as np
      >>> import sample
      >>> power = sample.spectrogram(np.sin(np.arange(640) * np.pi / 4))  # an eighth of the rate
      >>> power.shape, int(power[:, 5].argmax())
      ((129, 11), 32)
    """
    wave = array(wave, "a wave").astype(np.float64)
    if wave.ndim != 1:
        raise ValueError(f"a wave must have shape [samples]; got {list(wave.shape)}.")
    padded = np.pad(wave, _WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP] * np.hanning(_WINDOW)
    return 10 * np.log10(np.maximum(np.abs(np.fft.rfft(frames)) ** 2, 1e-12)).T
