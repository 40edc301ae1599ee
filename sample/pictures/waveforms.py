"""Waveforms and spectrograms."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import Float, Num

from zoo.foundation.arguments import array, checked

_WINDOW, _HOP, _RANGE = (
    256,
    64,
    80.0,
)  # of a spectrogram: samples, samples, decibels below the loudest


@checked(rate=1)
def save_waveforms(
    path: str | os.PathLike, waves: Num[np.ndarray, "num samples"], rate: int
) -> Path:
    """Writes a PNG: a row for each sound, its waveform and beside it its spectrogram.

    Raises:
      ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(
            "this picture needs matplotlib: pip install 'autoregressive-zoo[plots]'."
        ) from None
    waves = array(waves, "waves")
    if waves.ndim != 2 or not waves.size:
        raise ValueError(
            f"waves must have shape [num, samples], none of them 0; got {list(waves.shape)}."
        )
    figure = Figure(figsize=(12, 1 + 1.6 * len(waves)), layout="constrained")
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
    """Power in decibels at frequencies 0 .. rate / 2 (129 of them), every 64 samples in a Hann
    window of 256.
    """
    wave = array(wave, "a wave").astype(np.float64)
    if wave.ndim != 1:
        raise ValueError(f"a wave must have shape [samples]; got {list(wave.shape)}.")
    padded = np.pad(wave, _WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP] * np.hanning(_WINDOW)
    return 10 * np.log10(np.maximum(np.abs(np.fft.rfft(frames)) ** 2, 1e-12)).T
