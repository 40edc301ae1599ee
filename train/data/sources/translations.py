"""Pairs of texts, a source and what to make of it: written dates, Multi30k, or your own
tab-separated file.

A pair is an example: the context is the source, int32 [longest source], and x the target with its
  end, int32 [longest
target], both filled up with padding (token 0). The vocabularies are those of the training split;
what it does not know is the token <unk>, and counted in the description.
"""

import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int32

from train.data.dataset import Data, DataError, Dataset, Split, generator, thirds
from train.data.grouping import numbered
from train.data.sources.published_files import unpacked

Pair = tuple[str, str]
TRAINED, HELD_OUT = 40_000, 2_000  # written dates
_LOCALES = (
    "en_US", "en_GB", "de", "fr", "es", "it", "pt", "nl", "sv", "da", "pl", "cs", "fi", "tr",
    "hu", "ro", "ru", "el",
    "ja", "ko",
)  # fmt: skip
_YEARS = (1900, 2100)


def dates(data: Data) -> Dataset:
    """Dates as written in 20 languages and regions, long and short, and as ISO 8601: seeded, from
    Babel's locale data.

    Years have four digits and a month in figures stands after its day or after its year, so that a
    text means one day. The days of the three splits are disjoint. With `data.items` above 1, up to
    so many dates stand in a line.
    """
    import datetime

    if data.items < 1:
        raise DataError(f"--data.items must be at least 1; got {data.items}")
    try:
        from babel import Locale
        from babel import dates as written
    except ImportError as error:
        raise DataError(
            f"dates needs babel: pip install 'autoregressive-zoo[text]' ({error})"
        ) from None
    styles = {}
    for code in _LOCALES:
        locale = Locale.parse(code)
        for style in locale.date_formats.values():
            pattern = style.pattern.replace("yy", "y")
            month_first = "MMM" not in pattern and pattern.index("M") < min(
                pattern.index("d"), pattern.index("y")
            )
            if not month_first:
                styles[code, pattern] = (pattern, locale)
    first = datetime.date(_YEARS[0], 1, 1).toordinal()
    days = generator(0).permutation(datetime.date(_YEARS[1], 1, 1).toordinal() - first)
    choices, splits = list(styles.values()), []
    parts = np.split(days, [len(days) * 8 // 10, len(days) * 9 // 10])
    for number, (days, count) in enumerate(zip(parts, (TRAINED, HELD_OUT, HELD_OUT), strict=True)):
        random, pairs = generator(1, number), []
        for _ in range(count):
            drawn = []
            for _ in range(int(random.integers(1, data.items + 1))):
                day = datetime.date.fromordinal(first + int(random.choice(days)))
                pattern, locale = choices[int(random.integers(len(choices)))]
                drawn.append((written.format_date(day, pattern, locale), day.isoformat()))
            pairs.append(("; ".join(text for text, _ in drawn), " ".join(iso for _, iso in drawn)))
        splits.append(pairs)
    title = f"dates as written in {len(_LOCALES)} languages and regions (seeded)"
    return _dataset(
        data, title if data.items == 1 else f"{title}, 1 to {data.items} in a line", splits, "char"
    )


def pairs(data: Data) -> Dataset:
    """Your own pairs at `data.path`, a source and a target separated by a tab on each line, split
    80/10/10 by source.
    """
    if data.path is None:
        raise DataError("pairs needs your own data: pass --data.path FILE.tsv")
    from zoo.formats.tsv import read_pairs

    found, title = read_pairs(data.path), Path(data.path).name
    group = numbered(keys([source for source, _ in found], chosen(data, "char", title), title))
    num = int(group.max()) + 1
    parts = thirds(range(num), f"{data.path} holds {num} different sources")
    splits = [[found[i] for i in np.flatnonzero(np.isin(group, part))] for part in parts]
    return _dataset(data, title, splits, "char")


def multi30k(data: Data) -> Dataset:
    """Multi30k, sentences about pictures in several languages, from its text files in the folder
    `data.path`.
    """
    if data.path is None:
        raise DataError(
            "multi30k needs its text files: pass --data.path FOLDER with train.de.gz, "
            "train.en.gz and so on"
        )
    splits, folder = [], Path(os.path.expanduser(data.path))
    for split in ("train", "val", "test_2016_flickr"):
        source, target = (_lines(folder, f"{split}.{each}") for each in (data.source, data.target))
        if len(source) != len(target):
            raise DataError(
                f"{split} has {len(source):,} lines of {data.source} but {len(target):,} of "
                f"{data.target}"
            )
        splits.append([pair for pair in zip(source, target, strict=True) if all(pair)])
    return _dataset(data, f"Multi30k {data.source}-{data.target}", splits, "word")


def _lines(folder, name):
    from zoo.formats.tsv import lines_of, one_line

    for path in (
        folder / name,
        folder / f"{name}.gz",
        folder / "task1_raw" / name,
        folder / "task1_raw" / f"{name}.gz",
    ):
        if path.is_file():
            try:
                text = unpacked(path).decode("utf-8-sig")
            except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
                raise DataError(f"{path} cannot be read ({error}); fetch it again") from None
            return [one_line(line) for line in lines_of(text)]
    raise DataError(
        f"multi30k: there is no {name} or {name}.gz in {folder}; fetch "
        "github.com/multi30k/dataset, data/task1/raw"
    )


class Side(NamedTuple):
    """One side of the pairs of all splits as tokens: how many there are in the test split, and how
    many are unknown.
    """

    vocabulary: tuple[str, ...]
    rows: list[Int32[np.ndarray, "texts longest"]]
    size: int
    unknown: int


def chosen(data: Data, unit: Literal["char", "word"], title: str) -> Literal["char", "word"]:
    """What a token is, if not `unit`."""
    if data.unit == "byte":
        raise DataError(
            f"{title}: --data.unit is char or word; bytes are for a text without a source"
        )
    return data.unit or unit


def keys(texts: Sequence[str], unit: Literal["char", "word"], title: str) -> list[tuple[str, ...]]:
    """What a model reads of each text, with single spaces: two texts of one key are the same to it."""
    from zoo.formats import vocabulary as tokens

    try:
        return [tuple(tokens.pieces(" ".join(text.split()), unit)) for text in texts]
    except ImportError as error:
        raise DataError(f"{title}: {error}") from None


def code(
    splits: Sequence[Sequence[str]],
    unit: Literal["char", "word"],
    least: int,
    *,
    end: bool,
    title: str,
) -> Side:
    """The tokens of texts; the vocabulary holds those that occur at least so many times in the
    first split.
    """
    from zoo.formats import vocabulary as tokens

    try:
        pieces = [[tokens.pieces(text, unit) for text in split] for split in splits]
    except ImportError as error:
        raise DataError(f"{title}: {error}") from None
    for texts, each in zip(splits, pieces, strict=True):
        if not all(each):
            raise DataError(
                f"{title}: the text {texts[each.index([])]!r} has no {unit}; take it out"
            )
    vocabulary = tokens.vocabulary(pieces[0], least)
    coded = [tokens.codes(each, vocabulary, end=end) for each in pieces]
    return Side(vocabulary, [rows for rows, _ in coded], sum(map(len, pieces[2])), coded[2][1])


def _dataset(
    data: Data, title: str, splits: Sequence[Sequence[Pair]], unit: Literal["char", "word"]
) -> Dataset:
    unit = chosen(data, unit, title)
    texts = [[[pair[side] for pair in split] for split in splits] for side in (0, 1)]
    source, target = (
        code(each, unit, data.least, end=side == 1, title=title) for side, each in enumerate(texts)
    )
    train, valid, test = (
        Split(x, context) for context, x in zip(source.rows, target.rows, strict=True)
    )
    lengths = np.concatenate([(rows != 0).sum(1) for rows in source.rows])
    longest, usual = int(lengths.max()), int(np.quantile(lengths, 0.99, method="lower"))
    unknown, size = source.unknown + target.unknown, source.size + target.size
    description = (
        f"{title}, {len(train.x):,} training pairs, {len(source.vocabulary)} and "
        f"{len(target.vocabulary)} {unit}s, "
        f"sources of up to {longest:,}, test split of {len(test.x):,} ({unknown:,} of its "
        f"{size:,} {unit}s are unknown)"
    )
    return Dataset(
        data.name, description, train, valid, test, len(target.vocabulary),
        vocabulary=target.vocabulary, source_vocabulary=source.vocabulary, unit=unit,
        pairs=tuple(splits[2]),
        notes=_long_sources(longest, usual, unit),
    )  # fmt: skip


def _long_sources(longest, usual, unit):
    """A note if a source is far longer than 99 % of them, as every batch takes as long as its
    longest.
    """
    if longest <= 4 * usual:
        return ()
    return (
        f"the longest source has {longest:,} {unit}s, 99 % have at most {usual:,}: batches with "
        "it take that much longer",
    )
