"""Sounds with their likelihood, drawn from silence or after a given sound; .wav files."""

import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Float32, Num

import zoo
from sample.engines.sampler import draw
from sample.engines.tempered import Tempered
from zoo.foundation.arguments import array, checked
from zoo.foundation.limits import MOST


class Sounds(NamedTuple):
    """Sounds and their likelihood.

    Attributes:
      waves: the given sound followed by the drawn samples, in [-1, 1], [num, samples].
      rate: samples per second.
      log_prob: log p of each whole wave under the untempered model in nats, including the given
        sound, [num].

    Example:
      >>> import numpy as np
      >>> import sample
      >>> sounds = sample.Sounds(np.zeros((2, 4000), np.float32), 8000, np.zeros(2))
      >>> sounds.waves.shape[1] / sounds.rate  # seconds
      0.5
    """

    waves: Float32[np.ndarray, "num samples"]
    rate: int
    log_prob: Float[np.ndarray, " num"]


@checked(num=1)
def audio(
    source: str | os.PathLike | tuple[zoo.Generative, zoo.Variables],
    num: int = 1,
    seconds: float = 1.0,
    *,
    beginning: str | os.PathLike | Num[np.ndarray, "..."] | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    key: Array | None = None,
    **options: Any,
) -> Sounds:
    """Draws sounds, exactly or tempered, or continues a given sound from the exact posterior.

    Args:
      source: a checkpoint, a run's folder, a model's name, or a pair (model, variables).
      num: number of sounds.
      seconds: length to draw, after `beginning` if given. It may exceed the training length.
      beginning: a sound to continue: a .wav file, converted to the model's rate, or a waveform in
        [-1, 1] at that rate, [samples] for all sounds or [num, samples].
      temperature, top_k, top_p, min_p: see `Tempered`; by default the draws are exact.
      key: a key, consumed; `jax.random.key(0)` if None.
      **options: as for `draw`: context (labels [num]), engine, batch_size.

    Returns:
      Sounds: waves [num, samples] in [-1, 1], the rate, and log_prob [num] in nats.

    Raises:
      ValueError: the model does not describe sounds, `beginning` cannot be read, or an option is
        out of range.

    Example:
      >>> import jax
      >>> import sample, zoo
      >>> model = zoo.WaveNet((8,), 4, 6, dilations=(1, 2), cycles=1, rate=100)
      >>> variables = zoo.init(model, jax.random.key(0), *model.example(1))
      >>> sounds = sample.audio((model, variables), num=2, seconds=0.2)
      >>> sounds.waves.shape, sounds.rate
      ((2, 20), 100)
    """
    model, variables = opened(source)
    count = round(seconds * model.rate) if math.isfinite(seconds) else 0
    if not 1 <= count <= MOST:
        most = MOST // model.rate
        raise ValueError(
            f"seconds must be at most {most} and at least one sample, 1/{model.rate}; got "
            f"{seconds}."
        )
    given = _given(model, beginning, num)
    model = model.clone(site_shape=(given.shape[-1] + count,))
    tempered = Tempered(temperature, top_k, top_p, min_p)
    drawn = draw(
        model,
        variables,
        jax.random.key(0) if key is None else key,
        num,
        prefix=given if given.shape[-1] else None,
        tempered=None if tempered == Tempered() else tempered,
        **options,
    )
    waves = zoo.dequantise(np.asarray(drawn.x), _levels(model), model.companding)
    return Sounds(waves, model.rate, np.asarray(drawn.log_prob, np.float64))


def opened(source: Any) -> tuple[zoo.WaveNet, zoo.Variables]:
    """Returns the model and variables of a source.

    Raises:
      ValueError: the model does not describe sounds.
    """
    model: Any
    model, variables = zoo.open(source)
    if model.kind != "sound":
        raise ValueError(f"{type(model).__name__} does not describe sounds.")
    return model, variables


@checked()
def save_sounds(path: str | os.PathLike, sounds: Sounds) -> list[Path]:
    """Writes each sound to a .wav file: `path` with a number before its suffix.

    Returns:
      The paths of the files.

    Example:
      >>> import numpy as np
      >>> import sample
      >>> sounds = sample.Sounds(np.zeros((2, 50), np.float32), 500, np.zeros(2))
      >>> [path.name for path in sample.save_sounds("drawn.wav", sounds)]
      ['drawn_0.wav', 'drawn_1.wav']
    """
    path, digits = Path(path), len(str(len(sounds.waves) - 1))
    return [
        zoo.write_wav(path.with_name(f"{path.stem}_{i:0{digits}}.wav"), wave, sounds.rate)
        for i, wave in enumerate(sounds.waves)
    ]


def _levels(model: zoo.WaveNet) -> int:
    num_values = model.head.num_values
    assert num_values is not None, "a sound has levels"
    return num_values


def _given(model, beginning, num):
    """Converts the given sound to levels, [samples] or [num, samples]."""
    if beginning is None:
        return np.zeros(0, np.int32)
    if isinstance(beginning, str | os.PathLike):
        beginning = zoo.read_wav(beginning, model.rate)
    wave = array(beginning, "beginning")
    if wave.ndim not in (1, 2) or (wave.ndim == 2 and len(wave) != num) or not wave.size:
        raise ValueError(
            f"beginning must have shape [samples], or {[num, 'samples']} with one row per sound; "
            f"got {list(wave.shape)}."
        )
    if not np.issubdtype(wave.dtype, np.floating) or not np.abs(wave).max() <= 1:
        raise ValueError(
            f"beginning must hold numbers in [-1, 1]; got {wave.dtype} up to {np.abs(wave).max()}."
        )
    return zoo.quantise(wave, _levels(model), model.companding)
