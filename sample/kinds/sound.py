"""Sounds: .wav files and a picture of them."""

import dataclasses
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import tyro

import zoo
from sample.kinds.kind import (
    Computing,
    Inline,
    Kind,
    Run,
    Truncation,
    check_counts,
    check_out,
    check_seed,
    engine_name,
    labels,
    twice,
)
from sample.kinds.places import noted, place
from sample.media import examples
from sample.media.sounds import audio, save_sounds
from sample.pictures.surprise_pages import save_surprise_waves
from sample.pictures.waveforms import save_waveforms
from sample.scoring.surprisal import surprise
from zoo.core.checks import kind


@dataclasses.dataclass(frozen=True)
class Options:
    """Draws sounds from a trained model: .wav files, and a picture of their waveforms and
    spectrograms.
    """

    run: Run
    """A checkpoint, a run's folder, or a model's name: its newest run."""
    num: int = 4
    """How many sounds."""
    seconds: float = 1.0
    """How much sound is drawn (after the beginning, if there is one)."""
    audio: Annotated[Path | None, tyro.conf.arg(metavar="FILE.wav")] = None
    """How sounds begin; this is continued."""
    label: int | None = None
    """Label of every sound, for a class-conditional model; by default all labels in turn."""
    surprise: bool = False
    """Also write a picture of the waveforms coloured by -log p of every sample, that of --audio
    included.
    """
    seed: int = 0
    """Seed of the key: the same seed gives the same sounds whatever the engine, the batches and the
    devices.
    """
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png")] = None
    """The picture, by default samples.png beside the checkpoint; the sounds lie beside it, each in
    a .wav.
    """
    truncation: Annotated[Truncation, Inline] = Truncation()
    computing: Annotated[Computing, Inline] = Computing()

    def check(self) -> None:
        """Raises ValueError for values that make no sense."""
        check_seed(self.seed)
        check_counts(num=self.num)
        check_out(self.out)
        if self.out is not None and self.out.suffix == ".wav":
            raise ValueError(
                "--out is the picture of the sounds, a .png; the sounds lie beside it, each in a "
                ".wav."
            )


def show(options: Options, checkpoint: Path, model: zoo.WaveNet, variables: zoo.Variables) -> None:
    """Writes the sounds and their picture; prints how likely they are and how much faster than they
    last.
    """
    num, context = options.num, labels(model, options.label, options.num)
    how = {**dataclasses.asdict(options.truncation), **dataclasses.asdict(options.computing)}

    def once():
        key = jax.random.key(options.seed)
        beginning = options.audio
        return audio(
            (model, variables),
            num,
            options.seconds,
            key=key,
            context=context,
            beginning=beginning,
            **how,
        )

    drawn, seconds, compiling = twice(once)
    by_name = place(checkpoint, "samples", ".png", options.seed, options.computing.engine)
    path = options.out or by_name
    where = noted(path)
    save_waveforms(path, drawn.waves, drawn.rate)
    files = save_sounds(path.with_suffix(".wav"), drawn)
    bits = zoo.bits_per_dim(drawn.log_prob.mean(), drawn.waves.shape[1])
    engine = engine_name(options.computing.engine, model, variables, context)
    print(f"{kind(model)} from {checkpoint}, {engine}, seed {options.seed}")
    print(f"drawn sounds: {bits:.4f} bits/sample by the model's own likelihood")
    print(
        f"speed: {num * options.seconds / seconds:.2f} times real time ({seconds:.3f} s for "
        f"{num} x {options.seconds:g} s; "
        f"compilation {compiling:.1f} s apart)"
    )
    print(f"{num} sounds: {files[0]} ... {files[-1].name}" if num > 1 else f"sound: {files[0]}")
    print(f"waveforms and spectrograms: {where}")
    if options.surprise:
        _show_surprise(path, model, variables, drawn, context)


def _show_surprise(path, model, variables, drawn, context):
    """The picture of the waveforms by the surprise of their samples."""
    levels = model.head.num_values
    assert levels is not None, "a sound has levels"
    x = zoo.quantise(drawn.waves, levels, model.companding)
    nats = surprise(model.clone(site_shape=x.shape[1:]), variables, x, context)
    out = path.with_name(f"{path.stem}_surprise.png")
    save_surprise_waves(out, drawn.waves, np.asarray(nats), drawn.rate)
    print(f"surprise of the samples: {out}")


KIND = Kind("sound", Options, show, examples.sounds)
