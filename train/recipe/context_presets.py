"""The recipes of models with a context: translations, captions, labels."""

import zoo
from train.data import Data
from train.recipe.recipe import Recipe


def _dates(model: zoo.Generative) -> Recipe:
    """A recipe for written dates."""
    return Recipe(
        model,
        Data("dates"),
        steps=2_000,
        batch_size=64,
        learning_rate=4e-3,
        clip=1.0,
        ema=0.99,
        eval_every=250,
    )


def _multi30k(model: zoo.Generative) -> Recipe:
    """A recipe for Multi30k, which needs --data.path."""
    data = Data("multi30k")
    return Recipe(
        model,
        data,
        steps=4_500,
        batch_size=64,
        learning_rate=1e-3,
        clip=1.0,
        ema=0.995,
        eval_every=450,
    )


def _scenes(model: zoo.Generative) -> Recipe:
    """A recipe for scenes of digits."""
    return Recipe(
        model,
        Data("scenes"),
        steps=4_000,
        batch_size=64,
        learning_rate=3e-3,
        clip=1.0,
        ema=0.99,
        eval_every=500,
    )


def _captions(model: zoo.Generative) -> Recipe:
    """A recipe for captions of photographs, which need --data.path."""
    return Recipe(
        model, Data("captions"), steps=50_000, batch_size=64, learning_rate=4e-4, clip=1.0
    )


def _glimpses(model: zoo.Generative, data: Data, steps: int) -> Recipe:
    """A recipe for digits that are seen by glimpses."""
    return Recipe(model, data, steps=steps, learning_rate=2e-3, clip=5.0, eval_every=2_000)


CONTEXT_RECIPES: dict[str, dict[str, Recipe]] = {
    "seq2seq": {
        "cpu": _dates(zoo.Seq2Seq((11,), 128)),
        "paper": _multi30k(zoo.Seq2Seq((45,), 512, 256, dropout=0.5)),
    },
    "seq2seq_attention": {
        "cpu": _dates(zoo.Seq2SeqAttention((11,), 128)),
        "paper": _multi30k(zoo.Seq2SeqAttention((45,), 512, 256, dropout=0.5)),
    },
    "cnn": {
        "cpu": Recipe(
            zoo.CNN(dropout=0.5, shift=2),
            steps=3_000,
            learning_rate=2e-3,
            ema=0.99,
            eval_every=500,
        ),
        "paper": Recipe(
            zoo.CATALOGUE["cnn"].paper.clone(dropout=0.5, shift=2), Data("mnist"), steps=30_000
        ),
    },
    "ram": {
        "cpu": _glimpses(zoo.RAM(), Data(), steps=30_000),
        "paper": _glimpses(zoo.CATALOGUE["ram"].paper.clone(shift=2), Data("mnist"), steps=100_000),
    },
    "frames": {
        "cpu": Recipe(
            zoo.Frames(dropout=0.2),
            Data("moving_digits"),
            steps=3_000,
            batch_size=50,
            learning_rate=3e-3,
            clip=1.0,
            ema=0.99,
            eval_every=300,
        ),
        "paper": Recipe(
            zoo.CATALOGUE["frames"].paper, Data("moving_digits"), steps=20_000, clip=1.0
        ),
    },
    "probe": {
        "cpu": Recipe(
            zoo.Probe(dropout=0.5),
            encoder_rate=0.0,
            steps=2_000,
            learning_rate=3e-3,
            ema=0.99,
            eval_every=500,
        ),
        "paper": Recipe(
            zoo.CATALOGUE["probe"].paper, Data("mnist"), encoder_rate=0.0, steps=20_000
        ),
    },
    "captioner": {
        "cpu": _scenes(zoo.Captioner((20,), 128, 32, "lstm", channels=(16, 32, 64, 64))),
        "paper": _captions(zoo.CATALOGUE["captioner"].paper),
    },
    "show_attend_tell": {
        "cpu": _scenes(
            zoo.ShowAttendTell((20,), 128, 32, "lstm", channels=(16, 32, 64, 64), coverage=0.01)
        ),
        "paper": _captions(zoo.CATALOGUE["show_attend_tell"].paper),
    },
}
