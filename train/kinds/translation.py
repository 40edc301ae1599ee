"""Pairs of texts: a source that is read, and a target that is written."""

import numpy as np

from train.data.dataset import Split, whole_pairs
from train.data.sources.translations import dates, multi30k, pairs
from train.kinds.paired import Paired
from zoo.formats.tsv import read_pairs, rows_of
from zoo.formats.vocabulary import PAD, SPECIAL, codes, pieces
from zoo.foundation.files import write_whole

TEST = "test.tsv"  # in the run's folder


class Translation(Paired):
    """The model is told the vocabularies of both sides."""

    name = "translation"
    holds = "pairs of texts"
    example = "dates"
    own = "pairs"
    published = ("multi30k",)
    flags = ("unit", "least", "source", "target", "items", "train", "train_seed")
    from_data = (*Paired.from_data, "source_vocabulary", "source_values", "source_pad")
    loaders = {"dates": dates, "multi30k": multi30k, "pairs": pairs}

    def shaped(self, model, dataset, given):
        """Where source tokens stand for no text, `source_values` counts them."""
        model = super().shaped(model, dataset, given)
        if dataset.vocabulary or "source_values" in given:
            return model
        contexts = (dataset.train.context, dataset.valid.context)
        most = max(0 if each is None else int(each.max()) for each in contexts)
        return model.clone(source_values=most + 1)

    def whole(self, model, data, reading):
        """A .tsv of pairs."""
        found = tuple(read_pairs(data.path))
        none = Split(np.zeros((len(found), 1), np.int32), None)
        return whole_pairs(data.name, "pairs", none, model.vocabulary, found)

    def sources(self, model, texts, context):
        tokens = [pieces(text, model.unit) for text in texts]
        return codes(tokens, model.source_vocabulary, end=False)[0]

    def known(self, dataset):
        if not dataset.vocabulary:  # tokens that stand for no text
            return {}
        source = dataset.source_vocabulary
        values = {"source_values": len(source), "source_pad": SPECIAL.index(PAD)}
        return super().known(dataset) | {"source_vocabulary": source, **values}

    def keep(self, dataset, folder):
        write_whole(folder / TEST, rows_of(dataset.pairs).encode())


KIND = Translation()
