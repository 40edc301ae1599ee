"""Sounds, drawn whole with their likelihood, from silence or from a given prefix; .wav files."""

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
      waves: beginning and what was drawn after it, in [-1, 1], [num, samples].
      rate: samples a second.
      log_prob: nats of each whole wave under the model itself (tempered or not), its beginning
        included, [num].
    """

    waves: Float32[np.ndarray, "num samples"]
    rate: int
    log_prob: Float[np.ndarray, " num"]


@checked(num=1)
def audio(
    source: str | os.PathLike | tuple[zoo.Autoregressive, zoo.Variables],
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
    """Draws sounds, exactly or tempered, or continues a beginning by draws from the exact
    posterior.

    Args:
      source: a checkpoint, a run's folder, a model's name, or a pair (model, variables).
      num: how many.
      seconds: how much is drawn, after the beginning if there is one. It may be longer than what
        the model was trained on.
      beginning: a .wav file, converted to the model's rate; or a waveform in [-1, 1] at that rate,
        [samples] for all sounds or [num, samples].
      temperature, top_k, top_p, min_p: see `Tempered`; by default the draws are exact.
      key: a key, consumed; `jax.random.key(0)` if None.
      **options: as for `draw`: context (labels [num]), engine, batch_size.

    Raises:
      ValueError: a model of no sounds, a beginning that cannot be read, or options that have no
        meaning.
    """
    model, variables = opened(source)
    count = round(seconds * model.rate) if math.isfinite(seconds) else 0
    if not 1 <= count <= MOST:
        most = MOST // model.rate
        raise ValueError(
            f"seconds must be at most {most} and at least one sample, 1/{model.rate}; got "
            f"{seconds}."
        )
    begun = _begun(model, beginning, num)
    model = model.clone(site_shape=(begun.shape[-1] + count,))
    law = Tempered(temperature, top_k, top_p, min_p)
    drawn = draw(
        model,
        variables,
        jax.random.key(0) if key is None else key,
        num,
        prefix=begun if begun.shape[-1] else None,
        tempered=None if law == Tempered() else law,
        **options,
    )
    waves = zoo.dequantise(np.asarray(drawn.x), _levels(model), model.companding)
    return Sounds(waves, model.rate, np.asarray(drawn.log_prob, np.float64))


def opened(source: Any) -> tuple[zoo.WaveNet, zoo.Variables]:
    """The model and variables of a source.

    Raises:
      ValueError: its model describes no sounds.
    """
    model: Any
    model, variables = zoo.open(source)
    if model.kind != "sound":
        raise ValueError(f"{type(model).__name__} describes no sounds.")
    return model, variables


@checked()
def save_sounds(path: str | os.PathLike, sounds: Sounds) -> list[Path]:
    """Writes each sound as a .wav: `path` with a number before its suffix."""
    path, digits = Path(path), len(str(len(sounds.waves) - 1))
    return [
        zoo.write_wav(path.with_name(f"{path.stem}_{i:0{digits}}.wav"), wave, sounds.rate)
        for i, wave in enumerate(sounds.waves)
    ]


def _levels(model: zoo.WaveNet) -> int:
    num_values = model.head.num_values
    assert num_values is not None, "a sound has levels"
    return num_values


def _begun(model, beginning, num):
    """The levels of the beginning, [samples] or [num, samples]."""
    if beginning is None:
        return np.zeros(0, np.int32)
    if isinstance(beginning, str | os.PathLike):
        beginning = zoo.read_wav(beginning, model.rate)
    wave = array(beginning, "a beginning")
    if wave.ndim not in (1, 2) or (wave.ndim == 2 and len(wave) != num) or not wave.size:
        raise ValueError(
            f"a beginning must have shape [samples], or {[num, 'samples']} with one for each "
            f"sound; got {list(wave.shape)}."
        )
    if not np.issubdtype(wave.dtype, np.floating) or not np.abs(wave).max() <= 1:
        raise ValueError(
            f"a beginning must hold numbers in [-1, 1]; got {wave.dtype} up to "
            f"{np.abs(wave).max()}."
        )
    return zoo.quantise(wave, _levels(model), model.companding)
