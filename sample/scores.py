"""How good sentences are, compared with those that were asked for."""

import dataclasses
from collections.abc import Sequence

from zoo.tokens import Unit, pieces


@dataclasses.dataclass(frozen=True)
class Scores:
    """Of sentences, by their references.

    Attributes:
      exact: the share that has the tokens of its reference.
      bleu: BLEU of the whole corpus, 0..100, letters of either case alike, by sacrebleu's 13a tokenisation; None without
        sacrebleu.
      num: how many sentences.
    """

    exact: float
    bleu: float | None
    num: int

    def __str__(self) -> str:
        """The numbers with their names."""
        bleu = "no BLEU (it needs sacrebleu: pip install 'autoregressive-zoo[text]')"
        if self.bleu is not None:
            bleu = f"BLEU {self.bleu:.2f}"
        return f"exact match {100 * self.exact:.2f} %, {bleu}, {self.num:,} sentences"


def scores(texts: Sequence[str], references: Sequence[str], unit: Unit) -> Scores:
    """Exact match, by tokens of that unit, and BLEU.

    Raises:
      ValueError: none, or not a reference for each text.
    """
    if len(texts) != len(references) or not texts:
        raise ValueError(f"each text needs a reference; got {len(texts)} and {len(references)}.")
    exact = sum(pieces(text, unit) == pieces(each, unit) for text, each in zip(texts, references, strict=True))
    try:
        from sacrebleu.metrics import BLEU
    except ImportError:
        return Scores(exact / len(texts), None, len(texts))
    bleu = BLEU(lowercase=True).corpus_score(list(texts), [list(references)]).score
    return Scores(exact / len(texts), float(bleu), len(texts))
