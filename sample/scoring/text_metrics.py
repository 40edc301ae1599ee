"""Metrics of texts, compared with their references."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from zoo.formats.vocabulary import Unit, pieces
from zoo.foundation.arguments import checked, shown, strings


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of texts.

    Attributes:
      exact: the share of texts whose tokens equal those of one of their references.
      bleu: case-insensitive BLEU of the whole corpus by sacrebleu, 0..100; None if sacrebleu is not
        installed or no reference has four words.
      num: the number of texts.

    Example:
      >>> import sample
      >>> print(sample.Scores(exact=0.5, bleu=32.1, num=2000))
      exact match 50.00 %, BLEU 32.10, 2,000 sentences
    """

    exact: float
    bleu: float | None
    num: int

    def __str__(self) -> str:
        """Formats the scores as a line."""
        bleu = (
            "no BLEU (it needs sentences of four words, and sacrebleu: "
            "pip install 'autoregressive-zoo[text]')"
        )
        if self.bleu is not None:
            bleu = f"BLEU {self.bleu:.2f}"
        return f"exact match {100 * self.exact:.2f} %, {bleu}, {self.num:,} sentences"


@checked()
def scores(
    texts: Sequence[str],
    references: Sequence[str | Sequence[str]],
    unit: Unit,
    tokenize: str = "13a",
) -> Scores:
    """Computes exact match of tokens, and BLEU.

    Args:
      texts: the texts to score.
      references: for each text one reference, or a list of equally good ones.
      unit: the unit of a token, `char` or `word`.
      tokenize: how sacrebleu finds words: 13a if spaces separate them; else char, zh, ja-mecab, ...

    Returns:
      Scores: `exact` in [0, 1], `bleu` in [0, 100] or None, and the number of texts.

    Raises:
      ValueError: there are no texts, or a text has no reference.

    Example:
      >>> import sample
      >>> sample.scores(["ab", "cd"], ["ab", ["xy", "ce"]], unit="char").exact
      0.5
    """
    texts = strings(texts, "texts")
    if not isinstance(references, list | tuple):
        raise ValueError(
            f"references must be a list of texts, or of lists of texts; got {shown(references)}."
        )
    each = [
        (one,) if isinstance(one, str) else tuple(strings(one, "references")) for one in references
    ]
    if len(texts) != len(each) or not texts or not all(each):
        raise ValueError(f"each text needs a reference; got {len(texts)} and {len(each)}.")
    matches = (
        pieces(text, unit) in [pieces(one, unit) for one in ones]
        for text, ones in zip(texts, each, strict=True)
    )
    return Scores(sum(matches) / len(texts), _bleu(texts, each, tokenize), len(texts))


def _bleu(texts, references, tokenize):
    try:
        from sacrebleu.metrics import BLEU
    except ImportError:
        return None
    if tokenize not in BLEU.TOKENIZERS:
        raise ValueError(
            f"unknown tokenize {tokenize!r}; choose from {', '.join(BLEU.TOKENIZERS)}."
        )
    bleu = BLEU(lowercase=True, tokenize=tokenize)
    if (
        max(len(bleu.tokenizer(one).split()) for ones in references for one in ones)
        < bleu.max_ngram_order
    ):
        return None
    most = max(map(len, references))
    streams: Any = [
        [ones[k] if k < len(ones) else None for ones in references] for k in range(most)
    ]
    return float(bleu.corpus_score(list(texts), streams).score)
