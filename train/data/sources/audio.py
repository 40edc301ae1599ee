"""Sounds: a seeded synthesiser, spoken digits, or your own folder of .wav files.

A recording is a line of int16; a split is an array of recordings of any length. A folder holds .wav
files, or one sub-folder of them a class, whose names in alphabetical order become the labels 0, 1,
...; they are converted to one channel of `--data.rate` and split 80/10/10 by a fixed permutation,
equal recordings together. Fewer than 10 recordings are split as well as can be, see `_few`.
`--data.seconds` cuts recordings, or fills them up with silence; `--data.piece` cuts them into pieces.
"""

import dataclasses
import os
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int16

from train.data.dataset import (
    Data,
    DataError,
    Dataset,
    Split,
    content_keys,
    generator,
    ragged,
    take,
    thirds,
)
from train.data.grouping import frequent_note, members, numbered
from train.data.sources.standard import splits_of

RATE = 8000  # of the sets that are not your own
LONGEST = 3600  # seconds to which recordings may be filled up
CLIP = 0.5  # seconds of a tone, and of a spoken digit unless --data.seconds says otherwise
_TONES = {"train": 800, "valid": 100, "test": 100}  # recordings of each split
_PARTIALS = np.arange(1, 9)


def tones(data: Data) -> Dataset:
    """Half a second each, by class: 0 a held note of eight partials, 1 a plucked string, 2 a chirp,
    3 a vowel.
    """
    splits = {}
    for number, (name, count) in enumerate(_TONES.items()):
        labels = np.arange(count, dtype=np.int32) % len(_CLASSES)
        waves = [_tone(generator(number, i), int(label)) for i, label in enumerate(labels)]
        splits[name] = Split(ragged(waves), labels)
    title = f"synthesised tones of {len(_CLASSES)} classes"
    return _dataset(data, title, splits, RATE, len(_CLASSES), data.seconds)


def spoken_digit(data: Data) -> Dataset:
    """2,500 English digits of five speakers (free spoken digit dataset 1.0.9); the label is the
    digit.
    """
    splits, title, num_classes = splits_of(data)
    return _dataset(data, title, splits, RATE, num_classes, data.seconds or CLIP)


def sounds(data: Data) -> Dataset:
    """The user's own recordings at `data.path`."""
    from zoo.formats.waveform import read_wav

    if data.path is None:
        raise DataError("sounds needs your own data: pass --data.path FOLDER with .wav files")
    if not 1000 <= data.rate <= 192_000:
        raise DataError(f"--data.rate must be in 1000..192000 samples a second; got {data.rate}")
    path, size = Path(os.path.expanduser(data.path)), _samples(data.seconds, data.rate)
    if not path.is_dir():
        raise DataError(f"there is no folder {path}; --data.path needs a folder of .wav files")
    folders = [each for each in sorted(path.iterdir()) if each.is_dir() and _wavs(each)]
    loose = _wavs(path, deep=False)
    if folders and loose:
        raise DataError(
            f"{path} mixes sub-folders and files ({loose[0].name}); expected one or the other"
        )
    groups = [_wavs(folder) for folder in folders] or [loose]
    files = [file for group in groups for file in group]
    if not files:
        raise DataError(f"{path} holds no .wav files; convert yours to .wav, or pass their folder")
    if data.piece and data.seconds:
        raise DataError("--data.piece and --data.seconds exclude each other: drop one")
    labels = (
        np.repeat(np.arange(len(groups), dtype=np.int32), list(map(len, groups)))
        if folders
        else None
    )
    whole = Split(ragged([_int16(read_wav(file, data.rate)) for file in files]), labels)
    keys = content_keys(_cut(whole, size).x)
    notes = frequent_note(keys, "recordings")
    if len(files) < 10:
        parts, said = _few(whole, keys)
        notes = (said,)
    else:
        parts = [take(whole, index) for index in thirds(keys, f"{path} holds .wav files")]
    splits = dict(zip(_TONES, parts, strict=True))
    title = data.name
    if length := _samples(data.piece, data.rate, "piece"):
        splits = {name: _pieces(split, length, path, name) for name, split in splits.items()}
        title = f"{title} in pieces of {data.piece:g} s"
    dataset = _dataset(data, title, splits, data.rate, len(folders) or None, data.seconds)
    return dataclasses.replace(dataset, notes=notes)


def _few(whole, keys):
    """(training, validation, test) of fewer than 10 recordings, and how they were split.

    From three different recordings on, one whole recording each is for validation and test. Fewer,
    and recordings with classes, are each cut: the first 80 %, the next 10 %, the last 10 %.
    """
    group = numbered(keys)
    num = int(group.max()) + 1
    if num >= 3 and whole.context is None:
        chosen = np.split(generator(0).permutation(num), [num - 2, num - 1])
        parts = [take(whole, members(group, each)) for each in chosen]
        return parts, (
            f"{len(keys)} recordings: one is for validation and one for the test, whole, so their "
            "numbers rest on one recording each"
        )
    cuts = [np.split(line, [len(line) * 8 // 10, len(line) * 9 // 10]) for line in whole.x]
    parts = [whole._replace(x=ragged(list(each))) for each in zip(*cuts, strict=True)]
    return parts, (
        f"{_recordings(len(keys))}: of each the first 80 % are for training, the next 10 % for "
        "validation and the last 10 % for the test, so splits sound alike"
    )


def _recordings(count):
    return f"{count:,} recording{'s' if count != 1 else ''}"


def _pieces(split, length, path, name):
    """Each recording as pieces of so many samples; what remains is left out."""
    counts = [len(line) // length for line in split.x]
    if not sum(counts):
        raise DataError(
            f"{path}: no recording of the split {name} has a piece of {length:,} samples: pass a "
            "smaller --data.piece"
        )
    pieces = [
        line[i * length : (i + 1) * length]
        for line, count in zip(split.x, counts, strict=True)
        for i in range(count)
    ]
    return Split(ragged(pieces), None if split.context is None else split.context.repeat(counts))


def _wavs(folder, deep=True):
    found = folder.rglob("*") if deep else folder.iterdir()
    return sorted(
        file
        for file in found
        if file.is_file() and file.suffix.lower() == ".wav" and file.name[0] != "."
    )


def _dataset(data, title, splits, rate, num_classes, seconds):
    if data.binarise != "none" or data.levels != 256:
        raise DataError(
            f"{data.name} is sound, whose levels are those of the model's head: drop "
            "--data.binarise and --data.levels"
        )
    size = _samples(seconds, rate)
    if size:
        title += f" cut or filled up to {seconds:g} s"
        splits = {name: _cut(split, size) for name, split in splits.items()}
    hours = {name: sum(map(len, split.x)) / rate for name, split in splits.items()}
    description = (
        f"{title}, {rate} Hz, {sum(hours.values()):,.0f} s, test split of "
        f"{_recordings(len(splits['test'].x))}, "
        f"{hours['test']:,.0f} s"
    )
    return Dataset(
        data.name, description, **splits, num_levels=2**16, num_classes=num_classes, rate=rate
    )


def _samples(seconds, rate, flag="seconds"):
    """How long recordings shall be, in samples; 0: as they are."""
    if not (seconds == 0 or 1 <= seconds * rate <= LONGEST * rate):
        raise DataError(
            f"--data.{flag} must be 0, or at least one sample and at most {LONGEST:,}; got "
            f"{seconds}"
        )
    return round(seconds * rate)


def _cut(split, size):
    """Recordings cut to `size` samples, or filled up with silence; as they are if it is 0."""
    if not size:
        return split
    return split._replace(
        x=ragged([np.pad(line[:size], (0, max(0, size - len(line)))) for line in split.x])
    )


def _int16(wave: Float[np.ndarray, " samples"]) -> Int16[np.ndarray, " samples"]:
    from zoo.formats.waveform import quantise

    return (quantise(wave, 2**16, "linear") - 2**15).astype(np.int16)


def _tone(rng, label):
    """A recording of a class, with hiss of 50 dB below full scale."""
    time = np.arange(round(CLIP * RATE)) / RATE
    wave = _CLASSES[label](rng, time)
    fade = np.minimum(1, np.minimum(time, time[-1] - time) / 0.01)
    loud = rng.uniform(0.2, 0.7) / np.abs(wave).max()
    return _int16(loud * fade * wave + 0.003 * rng.normal(size=len(time)))


def _note(rng, time):
    pitch, depth = 110 * 2 ** rng.uniform(0, 2), rng.uniform(0, 0.01)
    phase = pitch * (time - depth * np.cos(2 * np.pi * 5 * time) / (2 * np.pi * 5))
    return _partials(rng, pitch, phase, np.ones_like(time))


def _pluck(rng, time):
    pitch, decay = 110 * 2 ** rng.uniform(0, 2), rng.uniform(2, 8)
    return _partials(rng, pitch, pitch * time, np.exp(-decay * np.outer(_PARTIALS, time)))


def _partials(rng, pitch, phase, envelope):
    """Partials 1 .. 8 below half the rate, each about 1 / n as strong as the first."""
    strength = rng.uniform(0.5, 1, len(_PARTIALS)) / _PARTIALS * (_PARTIALS * pitch < RATE / 2)
    return strength @ (envelope * np.sin(2 * np.pi * np.outer(_PARTIALS, phase)))


def _chirp(rng, time):
    first, last = 150 * 2 ** rng.uniform(0, 4, 2)
    return np.sin(2 * np.pi * np.cumsum(np.geomspace(first, last, len(time))) / RATE)


def _vowel(rng, time):
    """A buzz through two resonances, made of its harmonics."""
    pitch = 90 * 2 ** rng.uniform(0, 1.3)
    harmonics = pitch * np.arange(1, int(RATE / 2 / pitch) + 1)
    formants = rng.uniform(300, 900), rng.uniform(1000, 2500)
    strength = sum(1 / (1 + ((harmonics - each) / 120) ** 2) for each in formants)
    return strength @ np.sin(2 * np.pi * np.outer(harmonics, time))


_CLASSES = (_note, _pluck, _chirp, _vowel)
