"""Pairs of texts: a source that is read, and a target that is written."""

from train.data.translations import dates, multi30k, pairs
from train.kinds.paired import Paired
from zoo.files import write_whole
from zoo.tokens import PAD, SPECIAL, rows_of

TEST = "test.tsv"  # in the run's folder


class Translation(Paired):
    """The model is told the vocabularies of both sides."""

    name = "translation"
    holds = "pairs of texts"
    example = "dates"
    own = "pairs"
    published = ("multi30k",)
    flags = ("unit", "least", "source", "target", "items")
    loaders = {"dates": dates, "multi30k": multi30k, "pairs": pairs}

    def known(self, dataset):
        source = dataset.source_vocabulary
        values = {"source_values": len(source), "source_pad": SPECIAL.index(PAD)}
        return super().known(dataset) | {"source_vocabulary": source, **values}

    def keep(self, dataset, folder):
        write_whole(folder / TEST, rows_of(dataset.pairs).encode())


KIND = Translation()
