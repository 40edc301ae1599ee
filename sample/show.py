"""What `python -m sample` shows of models that write from a context."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

import zoo
from sample.alignment import save_alignment, save_gaze
from sample.caption import caption, pointing_accuracy
from sample.read import read_pixels
from sample.scores import scores
from sample.translate import BATCH, Translations, attends, translate
from zoo.arrays import read_arrays
from zoo.tokens import read_pairs, rows_of

SHOWN = 5  # translations of a file that are printed


def show_translations(options: Any, checkpoint: Path, model: zoo.Translator, variables: zoo.Variables) -> None:
    """Translations of the sources asked for, or of a file of pairs (by default the run's test split) and their scores."""
    if options.attention and not attends(model):
        raise ValueError(
            f"{type(model).__name__} has no attention to draw: drop --attention, or take seq2seq_attention."
        )
    if options.source:
        made = _made(options, model, variables, list(options.source))
        for text, nats, ended in zip(made.texts, made.log_prob, made.ended, strict=True):
            print(f"{text}  ({abs(nats):.3f} nats{'' if ended else ', cut off'})")
        _warn(made, model)
    else:
        made = _scored(options, checkpoint, model, variables)
    if made.attention:
        path = options.out or checkpoint.parent / "alignment.png"
        first = _first_written(made)
        print(f"alignment: {save_alignment(path, made.attention[first], made.tokens[first], made.sources[first])}")


def show_captions(options: Any, checkpoint: Path, model: zoo.ImageDescriber, variables: zoo.Variables) -> None:
    """Captions of the images asked for, or of the run's test split and their scores."""
    if options.attention and not attends(model):
        raise ValueError(
            f"{type(model).__name__} has no attention to draw: drop --attention, or take show_attend_tell."
        )
    path = checkpoint.parent / "test.npz"
    references, corners = None, None
    if options.images is not None:
        images = read_pixels(model, options.images, options.num)
        names = [str(i) for i in range(len(images))]
    elif path.is_file():
        images, names, references, corners = _asked_for(path, options.num)
    else:
        raise ValueError(f"nothing to describe: pass --images PATH (there is no {path}).")
    made = caption(
        (model, variables), images, options.beam or None, attends(model) and (options.attention or corners is not None),
        key=jax.random.key(options.seed), batch_size=min(options.batch_size, BATCH),
    )  # fmt: skip
    for name, text in list(zip(names, made.texts, strict=True))[: None if references is None else SHOWN]:
        print(f"{name}: {text}")
    if references is not None:
        pointing = {}
        if corners is not None and made.attention:
            share, count = pointing_accuracy(made, corners)
            pointing = {"pointing_accuracy": share, "pointed": count}
        _report(options, checkpoint, model, scores(made.texts, references, model.unit), path, pointing)
    if options.attention and made.attention:
        first = _first_written(made)
        picture = save_gaze(
            options.out or checkpoint.parent / "attention.png",
            images[first].astype(np.uint8), made.attention[first], made.tokens[first], made.centres,
        )  # fmt: skip
        print(f"attention: {picture}")


def _asked_for(path, num):
    """Of the test split each image once: images, their names, all captions of each, and corners if they are known."""
    arrays = read_arrays(path)
    captions: dict[str, list[str]] = {}
    for name, text in zip(arrays["names"].tolist(), arrays["captions"].tolist(), strict=True):
        captions.setdefault(name, []).append(text)
    _, firsts = np.unique(arrays["names"], return_index=True)
    firsts = np.sort(firsts)[:num]
    corners = arrays["corners"][firsts] if "corners" in arrays else None
    return arrays["images"][firsts], list(captions)[:num], list(captions.values())[:num], corners


def _first_written(made):
    """The first text that is not empty."""
    first = next((i for i, tokens in enumerate(made.tokens) if tokens), None)
    if first is None:
        raise ValueError("--attention: nothing was written, so there is nothing to draw; train the model longer.")
    return first


def _report(options, checkpoint, model, result, path, pointing=None):
    """Says how good the texts are; of the whole test split it is kept beside the checkpoint."""
    how = "exact samples" if options.beam == 0 else f"beam of {options.beam}"
    print(f"{type(model).__name__} from {checkpoint}, {how}: {result} of {path}")
    if pointing:
        print(f"pointing accuracy {100 * pointing['pointing_accuracy']:.2f} % of {pointing['pointed']:,} digit words")
    if options.num is None and options.pairs is None:
        report = checkpoint.parent / "scores.json"
        numbers = {**dataclasses.asdict(result), **(pointing or {}), "pairs": str(path), "beam": options.beam}
        report.write_text(json.dumps(numbers, indent=2) + "\n", "utf-8")
        print(f"scores: {report}")


def _scored(options, checkpoint, model, variables):
    path = options.pairs or checkpoint.parent / "test.tsv"
    if options.pairs is None and not path.is_file():
        raise ValueError(f"nothing to translate: pass --source TEXT or --pairs FILE.tsv (there is no {path}).")
    pairs = read_pairs(path)[: options.num]
    sources, references = ([pair[side] for pair in pairs] for side in (0, 1))
    began = time.perf_counter()
    made = _made(options, model, variables, sources)
    seconds = time.perf_counter() - began
    for pair, text in list(zip(pairs, made.texts, strict=True))[:SHOWN]:
        print(f"{pair[0]}\n  -> {text}" + ("" if text == pair[1] else f"\n  not {pair[1]}"))
    _warn(made, model)
    print(f"{len(sources):,} translations in {seconds:.1f} s with compilation")
    if options.num is None:
        written = checkpoint.parent / f"translations{'' if options.pairs is None else '_' + options.pairs.stem}.tsv"
        written.write_text(rows_of(zip(sources, made.texts, strict=True)), "utf-8")
        print(f"translations: {written}")
    _report(options, checkpoint, model, scores(made.texts, references, model.unit), path)
    return made


def _made(options: Any, model: zoo.Translator, variables: zoo.Variables, sources: list[str]) -> Translations:
    return translate(
        (model, variables), sources, options.beam or None, options.attention,
        key=jax.random.key(options.seed), batch_size=min(options.batch_size, BATCH),
    )  # fmt: skip


def _warn(made, model):
    if made.unknown:
        total = sum(map(len, made.sources))
        print(
            f"{made.unknown:,} of {total:,} {model.unit}s read are not in the vocabulary: the model reads <unk> for them"
        )
