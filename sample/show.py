"""What `python -m sample` shows of models that write from a context."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import jax

import zoo
from sample.alignment import save_alignment
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
    result = scores(made.texts, references, model.unit)
    how = "exact samples" if options.beam == 0 else f"beam of {options.beam}"
    print(f"{type(model).__name__} from {checkpoint}, {how}: {result} of {path}, {seconds:.1f} s with compilation")
    written, report = checkpoint.parent / "translations.tsv", checkpoint.parent / "scores.json"
    written.write_text(
        "".join(f"{source}\t{text}\n" for source, text in zip(sources, made.texts, strict=True)), "utf-8"
    )
    report.write_text(
        json.dumps({**dataclasses.asdict(result), "pairs": str(path), "beam": options.beam}, indent=2) + "\n"
    )
    print(f"translations: {written}\nscores: {report}")
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
