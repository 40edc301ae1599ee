"""Sounds: recordings of any length, quantised to the levels of the model."""

import dataclasses
import math
import os
from pathlib import Path

import numpy as np

import zoo
from train.data.batching import Windows
from train.data.dataset import DataError, Split, lines, ragged
from train.data.in_memory import check_counts, context_of
from train.data.sources.audio import sounds, spoken_digit, tones
from train.kinds.kind import Kind
from train.kinds.text import cut, whole_lines
from zoo.formats.waveform import read_wav
from zoo.foundation.arguments import array
from zoo.foundation.files import files_below


class Sound(Kind):
    """Models are trained on windows at random places, and scored on windows from where a recording
    begins.
    """

    name = "sound"
    holds = "sounds"
    example = "tones"
    own = "sounds"
    flags = ("rate", "seconds", "piece", "classes", "train", "train_seed", "mutate")
    own_flags = ("rate", "piece")
    recipe = {
        "steps": 4_000,
        "batch_size": 4,
        "learning_rate": 2e-3,
        "clip": 1.0,
        "ema": 0.99,
        "eval_every": 500,
    }
    from_data = ("rate",)
    most_samples = 3
    loaders = {"tones": tones, "spoken_digit": spoken_digit, "sounds": sounds}

    def read(self, model, parts):
        """Recordings are waves in [-1, 1] or int16: one, a list of them, or an array [N, samples]."""
        splits = []
        for name, x, context in parts:
            single = getattr(x, "ndim", 0) == 1 and x.dtype.kind != "O"
            waves = [_int16(wave, name) for wave in ([x] if single else x)]
            splits.append(Split(ragged(waves), context_of(context, len(waves), name)))
        return splits, {"num_levels": 2**16, "rate": model.rate}

    def hold_out(self, split, fraction, seed):
        """Whole recordings, or the end of the only one."""
        if len(split.x) > 1:
            return super().hold_out(split, fraction, seed)
        (wave,) = split.x
        held = max(1, round(len(wave) * fraction))
        check_counts(len(wave) - held, held, fraction)
        parts = np.split(wave, [len(wave) - held])
        train, valid = (split._replace(x=ragged([part])) for part in parts)
        return train, valid

    def whole(self, model, data, reading):
        """A .wav of any rate, or a folder of them."""
        files = files_below(Path(os.path.expanduser(data.path)), ".wav")
        waves = [_int16(read_wav(file, model.rate), str(file)) for file in files]
        return whole_lines(waves, model, data, 2**16, rate=model.rate)

    def alike(self, model, dataset, binarise):
        """The rate must be the model's."""
        if dataset.rate != model.rate:
            raise DataError(
                f"{dataset.name} has {dataset.rate:,} samples a second, {model.rate:,} are expected: "
                "pass .wav files, which are converted."
            )
        return dataset

    def prepare(self, model, dataset):
        dataset, length = _quantised(dataset, model), model.num_sites
        for split, name in (
            (dataset.train, "training"),
            (dataset.valid, "validation"),
            (dataset.test, "test"),
        ):
            _check_length(split, name, dataset, length)
        valid, test = (
            cut(dataset.valid, "validation", dataset, length),
            cut(dataset.test, "test", dataset, length),
        )
        return dataclasses.replace(dataset, valid=valid, test=test)

    def known(self, dataset):
        return {"rate": dataset.rate}

    def check_chosen(self, model, dataset):
        """The rate of the data wins."""

    def batches(self, model, dataset, batch_size, seed):
        return Windows(dataset.train, model.num_sites, batch_size, seed)

    def largest_batch(self, model, dataset):
        return sum(map(len, dataset.train.x))  # windows overlap

    def unit(self, model):
        return "sample"

    def evaluation_batch(self, batch_size):
        return batch_size

    def compare(self, model, nats, split):
        return f" (marginal entropy {entropy(split.x):.4f} bits)"

    def facts(self, model, nats, split):
        return {"marginal_entropy_bits": entropy(split.x)}

    def announce(self, model):
        seen = model.receptive_field
        return f"receptive field: {seen:,} samples, {1000 * seen / model.rate:.1f} ms"


def entropy(x: np.ndarray) -> float:
    """Entropy of the histogram of values, bits: what a code spends on a value if it knows nothing
    of the others.
    """
    counts = np.unique(x, return_counts=True)[1]
    return float(-(counts / x.size * np.log2(counts / x.size)).sum())


def _int16(wave, name):
    samples = array(wave, name)
    if samples.ndim != 1 or not samples.size:
        raise DataError(f"{name}: a recording must have shape [samples]; got {samples.shape}.")
    if samples.dtype == np.int16:
        return samples
    if samples.dtype.kind in "biu" or not (abs(samples) <= 1).all():
        raise DataError(
            f"{name} must hold waves, int16 or real numbers in [-1, 1]; got {samples.dtype} from "
            f"{samples.min()} to {samples.max()}."
        )
    return (zoo.quantise(samples.astype(np.float64), 2**16, "linear") - 2**15).astype(np.int16)


def _check_length(split, name, dataset, length):
    shortest = min(map(len, lines(split)))
    if shortest < length:
        seconds = math.ceil(100 * length / dataset.rate) / 100
        raise DataError(
            f"{dataset.name}: the shortest recording of the {name} split has {shortest:,} "
            "samples, fewer than one "
            f"window of {length}: take it out, or pass a smaller --model.site-shape, or "
            "--data.seconds of at least "
            f"{seconds:g}, to which all recordings are cut or filled up."
        )


def _quantised(dataset, model):
    """Sounds as the levels of the model."""
    levels = model.head.num_values
    if levels is None:
        raise DataError(
            f"sounds are levels, but a {type(model.head).__name__} head has none: pass another "
            "--model.head, such as "
            "categorical:256."
        )
    dtype = np.uint8 if levels <= 256 else np.int32

    def quantised(split):
        waves = [line / 2.0**15 for line in split.x]
        return split._replace(
            x=ragged([zoo.quantise(wave, levels, model.companding).astype(dtype) for wave in waves])
        )

    how = "mu-law" if model.companding == "mu_law" else "linear"
    return dataclasses.replace(
        dataset.map(quantised),
        num_levels=levels,
        description=f"{dataset.description}, {levels:,} {how} levels",
    )


KIND = Sound()
