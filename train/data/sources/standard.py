"""The standard sets through tensorflow_datasets: prepared once, then read whole into memory."""

import contextlib
import io
import os
from pathlib import Path

import numpy as np

from train.data.dataset import Data, DataError, Dataset, Split, hold_out, ragged

_TITLES = {
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "binarized_mnist": "binarized MNIST (Larochelle's fixed binarisation)",
    "cifar10": "CIFAR-10",
    "tiny_shakespeare": "tiny Shakespeare",
    "spoken_digit": "free spoken digits",
}


def standard(data: Data) -> Dataset:
    """mnist, fashion_mnist, binarized_mnist or cifar10."""
    splits, title, num_classes = splits_of(data)
    if "valid" not in splits:
        splits["train"], splits["valid"] = hold_out(splits["train"], data.valid)
    levels = 2 if data.name == "binarized_mnist" else 256
    train, valid, test = splits["train"], splits["valid"], splits["test"]
    return Dataset(data.name, title, train, valid, test, levels, num_classes)


def splits_of(data: Data) -> tuple[dict[str, Split], str, int | None]:
    """The splits of a standard set as it is published, its title and its number of classes."""
    manual_dir = Path(os.path.expanduser(data.manual_dir)) if data.manual_dir else None
    if manual_dir and not manual_dir.is_dir():
        raise DataError(f"{data.name}: --data.manual-dir {manual_dir} is not a folder")
    try:
        with _quiet():
            builder, title = _builder(data, manual_dir)
            _prepare(builder, manual_dir)
            splits = {split: _read(builder, split) for split in builder.info.splits}
    except ImportError as error:
        raise DataError(
            f"{data.name} needs tensorflow-datasets: pip install 'autoregressive-zoo[data]' "
            f"({error})"
        ) from None
    return splits, title, builder.num_classes


def _builder(data, manual_dir):
    import tensorflow_datasets as tfds

    from train.data.sources import tfds_builders

    tfds.disable_progress_bar()
    title, config = _TITLES[data.name], None
    if (
        data.name == "cifar10"
        and manual_dir
        and not list(manual_dir.glob("cifar-10-binary.tar.gz*"))
    ):
        batches = tfds_builders.cifar_batches(manual_dir)
        if batches and (len(batches) < 2 or batches[-1] != "test_batch.bin"):
            raise DataError(
                f"cifar10: {manual_dir} needs test_batch.bin and a data_batch_N.bin; found "
                f"{', '.join(batches)}"
            )
        if batches:
            numbers = "".join(name[11] for name in batches[:-1])
            title += f" (training batches {', '.join(numbers)} of 5)" if len(numbers) < 5 else ""
            config = tfds.core.BuilderConfig(name=f"batches_{numbers}", version="1.0.0")
    data_dir = str(Path(os.path.expanduser(data.data_dir))) if data.data_dir else None
    return tfds_builders.BUILDERS[data.name](data_dir=data_dir, config=config), title


def _prepare(builder, manual_dir):
    if builder.data_path.exists():
        return
    import tensorflow_datasets as tfds

    builder.manual_dir = manual_dir
    config = tfds.download.DownloadConfig(manual_dir=manual_dir, try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=config, file_format="array_record")
    except FileExistsError:  # another process has prepared it meanwhile
        if not builder.data_path.exists():
            raise


def _read(builder, split):
    source = builder.as_data_source(split=split)
    examples = source.__getitems__(list(range(len(source))))
    values = [e[builder.kind] for e in examples]
    x = np.stack(values) if builder.kind == "image" else ragged(values)
    return Split(
        x, np.array([e["label"] for e in examples], np.int32) if builder.num_classes else None
    )


@contextlib.contextmanager
def _quiet():
    from absl import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)
