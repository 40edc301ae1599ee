"""Translations: of the sources asked for, or of a file of pairs and their scores."""

import dataclasses
import time
from pathlib import Path
from typing import Annotated

import jax
import tyro

import zoo
from sample.kinds.kind import Inline, Kind, Run, check_counts, check_seed
from sample.kinds.places import folder_of, noted
from sample.kinds.written import Writing, check_attends, first_written, report
from sample.media import examples
from sample.media.translations import Translations, translate
from sample.pictures.attention_maps import save_alignment
from sample.scoring.text_metrics import scores
from zoo.formats.tsv import read_pairs, rows_of

SHOWN = 5  # translations of a file that are printed


@dataclasses.dataclass(frozen=True)
class Options:
    """Translates by a trained model."""

    run: Run
    """A checkpoint, a run's folder, or a model's name: its newest run."""
    source: tuple[str, ...] = ()
    """What is translated; by default the sources of --pairs."""
    pairs: Annotated[Path | None, tyro.conf.arg(metavar="FILE.tsv")] = None
    """Sources with the translations to compare with, by default those of the run's test split."""
    num: int | None = None
    """How many pairs of the file are read; all by default."""
    seed: int = 0
    """Seed of the key of --beam 0."""
    writing: Annotated[Writing, Inline] = Writing()

    def check(self) -> None:
        """Raises ValueError for flags that make no sense, or none together."""
        check_seed(self.seed)
        check_counts(num=self.num)
        if self.source and self.pairs is not None:
            raise ValueError("--source and --pairs are both given: drop one of them.")
        if self.source and self.num is not None:
            raise ValueError(
                "--num is how many pairs of a file are read, and --source is given: drop one of "
                "them."
            )


def show(
    options: Options, checkpoint: Path, model: zoo.Translator, variables: zoo.Variables
) -> None:
    """Prints translations; of a file of pairs also how good they are."""
    check_attends(options.writing, model, "seq2seq_attention")
    if options.source:
        made = _made(options, model, variables, list(options.source))
        for text, nats, ended in zip(made.texts, made.log_prob, made.ended, strict=True):
            print(f"{text}  ({abs(nats):.3f} nats{'' if ended else ', cut off'})")
        _warn(made, model)
    else:
        made = _scored(options, checkpoint, model, variables)
    if made.attention:
        first = first_written(made)
        path = options.writing.out or folder_of(checkpoint) / "alignment.png"
        where = noted(path)
        save_alignment(path, made.attention[first], made.tokens[first], made.sources[first])
        print(f"alignment: {where}")


def _scored(options, checkpoint, model, variables):
    path = options.pairs or checkpoint.parent / "test.tsv"
    if options.pairs is None and not path.is_file():
        raise ValueError(
            f"nothing to translate: pass --source TEXT or --pairs FILE.tsv (there is no {path})."
        )
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
        written = (
            folder_of(checkpoint)
            / f"translations{'' if options.pairs is None else '_' + options.pairs.stem}.tsv"
        )
        written.write_text(rows_of(zip(sources, made.texts, strict=True)), "utf-8")
        print(f"translations: {written}")
    whole = options.num is None and options.pairs is None
    report(
        options.writing, checkpoint, model, scores(made.texts, references, model.unit), path, whole
    )
    return made


def _made(
    options: Options, model: zoo.Translator, variables: zoo.Variables, sources: list[str]
) -> Translations:
    writing, key = options.writing, jax.random.key(options.seed)
    return translate(
        (model, variables),
        sources,
        writing.beam or None,
        writing.attention,
        key=key,
        batch_size=writing.batch_size,
    )


def _warn(made, model):
    if made.unknown:
        total = sum(map(len, made.sources))
        print(
            f"{made.unknown:,} of {total:,} {model.unit}s read are not in the vocabulary: the "
            "model reads <unk> for them"
        )


KIND = Kind("translation", Options, show, examples.pairs)
