"""Waveforms: how levels stand for them, and .wav files.

A waveform is a line of numbers in [-1, 1]. With mu = levels - 1, mu-law companding (ITU-T G.711
without its pieces)

    F(x) = sign(x) ln(1 + mu |x|) / ln(1 + mu),    level = floor((F(x) + 1) / 2 * mu + 1/2)

spends its levels on what is quiet; linear quantisation is level = round((x + 1) * levels / 2), the
16 bits of a .wav where there are 65,536 of them.
"""

import math
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Int32, Num

from zoo.formats.arrays import TooLarge, check_size
from zoo.foundation.arguments import array, checked

Companding = Literal["mu_law", "linear"]
RATE = 768_000  # samples a second of a file, at most


@checked(levels=2)
def quantise(
    wave: Num[np.ndarray, "*batch samples"], levels: int = 256, companding: Companding = "mu_law"
) -> Int32[np.ndarray, "*batch samples"]:
    """The levels 0..levels - 1 of a waveform; silence is the level levels / 2, what lies beyond
    [-1, 1] is clipped.

    Example:
      >>> import numpy as np, zoo
      >>> zoo.quantise(np.array([-1.0, 0.0, 1.0])).tolist()
      [0, 128, 255]
    """
    x = array(wave, "a wave").astype(np.float64)
    if not np.isfinite(x).all():
        raise ValueError("a wave must hold finite numbers; got some that are not.")
    x = np.clip(x, -1, 1)
    if companding == "linear":
        return np.minimum(np.round((x + 1) * (levels / 2)), levels - 1).astype(np.int32)
    mu = levels - 1
    return np.floor(
        (np.sign(x) * np.log1p(mu * np.abs(x)) / np.log1p(mu) + 1) / 2 * mu + 0.5
    ).astype(np.int32)


@checked(levels=2)
def dequantise(
    levels_of: Num[np.ndarray, "*batch samples"],
    levels: int = 256,
    companding: Companding = "mu_law",
) -> Float32[np.ndarray, "*batch samples"]:
    """The waveform that levels stand for: `quantise` gives the same levels again.

    Example:
      >>> import numpy as np, zoo
      >>> zoo.dequantise(np.array([0, 255])).tolist()
      [-1.0, 1.0]
    """
    k = array(levels_of, "levels").astype(np.float64)
    if k.size and not (k.min() >= 0 and k.max() < levels and (k == np.round(k)).all()):
        raise ValueError(
            f"levels must be whole numbers 0..{levels - 1}; got some from {k.min()} to {k.max()}."
        )
    if companding == "linear":
        return (k * (2 / levels) - 1).astype(np.float32)
    mu = levels - 1
    y = 2 * k / mu - 1
    return (np.sign(y) * np.expm1(np.abs(y) * np.log1p(mu)) / mu).astype(np.float32)


@checked(rate=1)
def read_wav(path: str | os.PathLike, rate: int) -> Float32[np.ndarray, " samples"]:
    """A sound file, its channels averaged and resampled to `rate` samples a second.

    Raises:
      ValueError: there is no such file, or it is no sound, one without samples, cut short, of a
        rate beyond 100..`RATE`, too long for a quarter of the memory, or of floats that are not
        finite or beyond [-1, 1].
      ImportError: soundfile is not installed.

    Example:
      >>> import numpy as np, zoo
      >>> path = zoo.write_wav("silence.wav", np.zeros(100), rate=8000)
      >>> zoo.read_wav(path, rate=4000).shape
      (50,)
    """
    soundfile = _soundfile()
    path = Path(os.path.expanduser(path))
    if not path.is_file():
        raise ValueError(f"there is no file {path}; expected a .wav.")
    if missing := _missing(path):
        raise ValueError(
            f"{path} is cut short, its last {missing:,} bytes are missing; copy or fetch it again."
        )
    try:
        with soundfile.SoundFile(path) as file:
            own, frames, subtype = file.samplerate, file.frames, file.subtype
            _check_rate(path, own, rate, frames, file.channels)
            wave = file.read(dtype="float32", always_2d=True)
    except TooLarge:
        raise
    except (soundfile.LibsndfileError, OSError, ValueError, TypeError) as error:
        what = "is empty" if path.stat().st_size == 0 else f"is not a readable sound ({error})"
        raise ValueError(f"{path} {what}; expected a .wav.") from None
    if not len(wave):
        raise ValueError(f"{path} holds no samples; expected a .wav with some.")
    if len(wave) < frames:
        raise ValueError(
            f"{path} is cut short, it holds {len(wave):,} of {frames:,} samples; copy or fetch "
            "it again."
        )
    if not np.isfinite(wave).all():
        raise ValueError(
            f"{path} holds samples that are no finite numbers; write it again as 16 bit."
        )
    if subtype in ("FLOAT", "DOUBLE") and (peak := float(np.abs(wave).max())) > 1:
        raise ValueError(
            f"{path} holds samples up to {peak:g}; expected them in [-1, 1]: divide them by "
            f"{peak:g} or more."
        )
    wave = wave.mean(axis=1)
    if own != rate:
        from scipy.signal import resample_poly

        common = math.gcd(own, rate)
        wave = resample_poly(wave.astype(np.float64), rate // common, own // common)
    return np.clip(wave, -1, 1).astype(np.float32)


def _check_rate(path, own, rate, frames, channels):
    """Refuses what would take more time or memory than it can be worth, by the header alone."""
    if not 100 <= own <= RATE:
        raise TooLarge(
            f"{path} has a rate of {own:,} samples a second; expected 100 to {RATE:,}: correct "
            "its header."
        )
    check_size(8 * max(frames * channels, frames * rate // own), path)


def _missing(path: Path) -> int:
    """How many bytes a RIFF file lacks of the samples that it promises; 0 for all other files."""
    size, wide = path.stat().st_size, 0
    with path.open("rb") as file:
        kind = file.read(12)
        order: Literal["big", "little"] = "big" if kind[:4] == b"RIFX" else "little"
        if kind[:4] not in (b"RIFF", b"RIFX", b"RF64") or kind[8:] != b"WAVE":
            return 0
        while len(head := file.read(8)) == 8:
            name, length = head[:4], int.from_bytes(head[4:], order)
            if name == b"data":
                length = wide or length
                unknown = length >= 2**31 - 2**16 and not wide  # as written into a pipe
                return 0 if unknown else max(0, file.tell() + length - size)
            if name == b"ds64":
                wide = int.from_bytes(file.read(16)[8:], order)
                length -= 16
            file.seek(length + length % 2, os.SEEK_CUR)
    return 0


@checked(rate=1)
def write_wav(path: str | os.PathLike, wave: Num[np.ndarray, " samples"], rate: int) -> Path:
    """Writes a waveform as a .wav of 16 bits and one channel.

    Raises:
      ImportError: soundfile is not installed.

    Example:
      >>> import numpy as np, zoo
      >>> zoo.write_wav("silence.wav", np.zeros(100), rate=8000).name
      'silence.wav'
    """
    wave = array(wave, "a wave").astype(np.float64)
    if wave.ndim != 1 or not np.isfinite(wave).all():
        raise ValueError(
            "a wave must have shape [samples] and hold finite numbers; got shape "
            f"{list(wave.shape)}."
        )
    pcm = np.clip(np.round(wave * 2**15), -(2**15), 2**15 - 1).astype(np.int16)
    _soundfile().write(path, pcm, rate, subtype="PCM_16", format="WAV")
    return Path(path)


def _soundfile() -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: without the C library
        raise ImportError(
            f"sounds need soundfile: pip install 'autoregressive-zoo[audio]' ({error})."
        ) from None
    return soundfile
