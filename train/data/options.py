"""Which data to train on, as the user chose."""

import dataclasses
from typing import Literal

from zoo.foundation.arguments import convert_fields


@dataclasses.dataclass(frozen=True)
class Data:
    """Which data to train on.

    Example:
      >>> import train
      >>> train.data.load(train.Data("digits")).train.x.shape
      (1297, 8, 8)
    """

    name: str = "mnist_1bit"
    """mnist_1bit, digits, translated and cluttered need no network; mnist, fashion_mnist,
    cifar10 and binarized_mnist are downloaded once; images is your own data, from `path`.
    Tables of real numbers: wine, breast_cancer and diabetes need no network; red_wine needs its
    file at `path`; table is your own, from `path`. Texts: python_docs needs no network;
    tiny_shakespeare is downloaded once; text is your own, from `path`. Sounds: tones needs no
    network; spoken_digit is downloaded once; sounds is your own, from `path`. Pairs of texts:
    dates needs no network; multi30k needs its text files at `path`; pairs is your own, from
    `path`. Captions: scenes and digit_words need no network; captions is your own folder at
    `path`, with captions.tsv (image and caption; with a header also split). Frames with labels:
    moving_digits and changing_digits need no network; frames is your own .npz, at `path`.
    Classifiers of images take all images with labels.
    """
    path: str | None = None
    """Your own images: .npz, .npy, or a folder of image files; your own table: .csv; your own text
    in UTF-8; a folder of .wav files; or your own pairs: .tsv, a source and a target a line. `name`
    then only says the kind of data.
    """
    binarise: Literal["none", "dynamic", "threshold"] = "none"
    """dynamic: Bernoulli(grey/255), anew each time an image is used in training, once with a fixed
    seed for validation and test. threshold: grey > 127. The likelihoods of the two are not
    comparable.
    """
    size: tuple[int, ...] = ()
    """Resize images to this side, or this height and width: the middle of each that has that shape,
    resampled (bicubic). They then have 256 greys or colours, before `levels` and `binarise`.
    """
    grey: bool = False
    """Turn colours into grey: 0.299 red + 0.587 green + 0.114 blue."""
    class_level: int = 1
    """Which level of sub-folders of your own folder of images is the class: 1 the outermost, 2 those
    in them (Greek/alpha and Latin/alpha are two classes), ...; 0: no classes.
    """
    arrays: tuple[str, ...] = ()
    """Which arrays of your own .npz hold the images: one, to be split 80/10/10; two, for training and
    test; or three, for training, validation and test.
    """
    label_arrays: tuple[str, ...] = ()
    """Which arrays of your own .npz hold the labels of `arrays`, as many in the same order."""
    levels: int = 256
    """Requantise grey or colour values to this many levels (256: as they are)."""
    valid: int = 5000
    """Training examples held out for validation (the last ones) where the set brings no validation
    split.
    """
    classes: tuple[int, ...] = ()
    """Only examples of these classes, in all splits; the labels 0, 1, ... then stand for them in
    this order.
    """
    train: int = 0
    """Only so many training examples (0: all), as evenly spread over the classes as can be; fewer
    examples are a part of more.
    """
    train_seed: int = 0
    """Seed of which examples `train` takes."""
    mutate: float = 0.0
    """For a background model (docs/uses.md): the share of the values of training and validation
    examples that are replaced at random.
    """
    fold: int = 0
    """Which tenth of a table is the test split, 0..9; the next tenth is for validation."""
    header: Literal["auto", "yes", "no"] = "auto"
    """Whether the first line of your own table holds names (auto: if there is a word in it and no
    number).
    """
    sep: str = "auto"
    """What separates the columns of your own table: comma, semicolon, tab, space (any run of blanks),
    bar or another character (auto: a tab or semicolon if the first line has one, else a comma).
    """
    decimal: str = "point"
    """What begins the decimals in your own table: point or comma."""
    columns: tuple[str, ...] = ()
    """The columns of your own table to describe, in this order, and no others."""
    one_hot: tuple[str, ...] = ()
    """Columns of words in your own table: each word but the first in alphabetical order becomes a
    column of 0 and 1, such as "colour=red".
    """
    drop: tuple[str, ...] = ()
    """Columns of your own table to leave out, by their names (without a line of names: "column 1"
    and so on).
    """
    rate: int = 8000
    """Samples a second that your own sounds are converted to."""
    seconds: float = 0.0
    """Recordings are cut to this length or filled up with silence (0: as they are; of spoken_digit
    0.5).
    """
    piece: float = 0.0
    """Cut your own recordings into pieces of this many seconds, and leave out what remains of each
    (0: keep them whole).
    """
    unit: Literal["char", "word", "byte"] | None = None
    """What a token is: a character; of pairs and captions also a word (default: words of multi30k
    and of captions, else characters); of a text also a byte.
    """
    least: int = 2
    """Tokens of pairs and captions that the training split has fewer times are unknown, as a model
    has to expect some.
    """
    source: str = "de"
    """Language of multi30k that is read."""
    target: str = "en"
    """Language of multi30k that is written."""
    digits: Literal["mnist_1bit", "mnist", "fashion_mnist"] = "mnist_1bit"
    """Which images translated and cluttered place; mnist and fashion_mnist are grey, and downloaded
    once.
    """
    canvas: int = 60
    """Pixels of a side of the images of translated and cluttered."""
    clutter: int = 4
    """Pieces of other digits in each image of cluttered."""
    blind: bool = False
    """Blackens the images of captions, to see by how much they help."""
    items: int = 1
    """At most so many dates in a line."""
    data_dir: str | None = None
    """Where tensorflow_datasets keeps prepared sets (default: its own, ~/tensorflow_datasets)."""
    manual_dir: str | None = None
    """Folder with the original downloaded files, taken instead of the network."""

    def __post_init__(self):
        """Fields that were read from JSON are lists there."""
        convert_fields(self)
