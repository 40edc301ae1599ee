"""How good sentences are, compared with those that were asked for."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from zoo.formats.vocabulary import Unit, pieces
from zoo.foundation.arguments import checked, shown, strings


@dataclasses.dataclass(frozen=True)
class Scores:
    """Of sentences, by their references.

    Attributes:
      exact: the share that has the tokens of a reference of its own.
      bleu: BLEU of the whole corpus, 0..100, letters of either case alike, by sacrebleu; None
        without it, or where no reference has the four words that BLEU compares.
      num: how many sentences.
    """

    exact: float
    bleu: float | None
    num: int

    def __str__(self) -> str:
        """The numbers with their names."""
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
    """Exact match, by tokens of that unit, and BLEU.

    Args:
      texts: what was written.
      references: what was asked for: of each text one, or several of which any will do.
      unit: what a token is.
      tokenize: how sacrebleu finds words: 13a where spaces part them; char, zh, ja-mecab and so on
        otherwise.

    Raises:
      ValueError: none, or not a reference for each text.
    """
    texts = strings(texts, "texts")
    if not isinstance(references, list | tuple):
        raise ValueError(
            f"references must be a list of texts, or of lists of them; got {shown(references)}."
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
        raise ValueError(f"unknown tokenize {tokenize!r}; there are {', '.join(BLEU.TOKENIZERS)}.")
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
