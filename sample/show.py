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
from sample.translate import Translations, attends, translate
from zoo.tokens import read_pairs

SHOWN = 5  # translations of a file that are printed


def show_translations(options: Any, checkpoint: Path, model: zoo.Translator, variables: zoo.Variables) -> None:
    """Translations of the sources asked for, or of a file of pairs (by default the run's test split) and their scores."""
    if options.attention and not attends(model):
        raise ValueError(
            f"{type(model).__name__} has no attention to draw: drop --attention, or take seq2seq_attention."
        )
    if options.source:
        made = _made(options, model, variables, list(options.source))
        for text, nats in zip(made.texts, made.log_prob, strict=True):
            print(f"{text}  ({-nats:.3f} nats)")
        _warn(made, model)
    else:
        made = _scored(options, checkpoint, model, variables)
    if made.attention:
        path = options.out or checkpoint.parent / "alignment.png"
        print(f"alignment: {save_alignment(path, made.attention[0], made.tokens[0], made.sources[0])}")


def show_captions(options: Any, checkpoint: Path, model: zoo.ImageDescriber, variables: zoo.Variables) -> None:
    """Captions of the images asked for, or of the run's test split and their scores."""
    if options.attention and not attends(model):
        raise ValueError(
            f"{type(model).__name__} has no attention to draw: drop --attention, or take show_attend_tell."
        )
    path = checkpoint.parent / "test.npz"
    images, names, references, corners = None, None, None, None
    if options.images is not None:
        images = read_pixels(model, options.images, options.num)
    elif path.is_file():
        with np.load(path, allow_pickle=False) as file:
            images, names, references, corners = (
                file[name][: options.num] if name in file else None
                for name in ("images", "names", "captions", "corners")
            )
    else:
        raise ValueError(f"nothing to describe: pass --images PATH (there is no {path}).")
    made = caption(
        (model, variables), images, options.beam or None, attends(model) and (options.attention or corners is not None),
        key=jax.random.key(options.seed), batch_size=min(options.batch_size, 64),
    )  # fmt: skip
    for i, text in enumerate(made.texts[: None if references is None else SHOWN]):
        print(f"{i if names is None else names[i]}: {text}")
    if references is not None:
        _report(options, checkpoint, model, scores(made.texts, [str(each) for each in references], model.unit), path)
    if corners is not None and made.attention:
        share, count = pointing_accuracy(made, corners, model.image_shape)
        print(f"pointing accuracy {100 * share:.2f} % of {count:,} digit words")
    if options.attention and made.attention and images is not None:
        out = options.out or checkpoint.parent / "attention.png"
        picture = save_gaze(out, images[0].astype(np.uint8), made.attention[0], made.tokens[0])
        print(f"attention: {picture}")


def _report(options, checkpoint, model, result, path):
    how = "exact samples" if options.beam == 0 else f"beam of {options.beam}"
    report = checkpoint.parent / "scores.json"
    report.write_text(
        json.dumps({**dataclasses.asdict(result), "pairs": str(path), "beam": options.beam}, indent=2) + "\n"
    )
    print(f"{type(model).__name__} from {checkpoint}, {how}: {result} of {path}\nscores: {report}")


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
    written = checkpoint.parent / "translations.tsv"
    written.write_text(
        "".join(f"{source}\t{text}\n" for source, text in zip(sources, made.texts, strict=True)), "utf-8"
    )
    print(f"translations in {seconds:.1f} s with compilation: {written}")
    _report(options, checkpoint, model, scores(made.texts, references, model.unit), path)
    return made


def _made(options: Any, model: zoo.Translator, variables: zoo.Variables, sources: list[str]) -> Translations:
    return translate(
        (model, variables), sources, options.beam or None, options.attention,
        key=jax.random.key(options.seed), batch_size=min(options.batch_size, 64),
    )  # fmt: skip


def _warn(made, model):
    if made.unknown:
        total = sum(map(len, made.sources))
        print(
            f"{made.unknown:,} of {total:,} {model.unit}s read are not in the vocabulary: the model reads <unk> for them"
        )
