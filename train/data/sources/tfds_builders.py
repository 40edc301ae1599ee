"""The standard sets as tensorflow_datasets builders that need no TensorFlow: prepared as
array_record by numpy alone.

The stock builders of the same sets unpack through TensorFlow. Importing this module imports
tensorflow_datasets.
"""

import gzip
import io
import sys
import tarfile
from pathlib import Path

import numpy as np
import requests
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import checksums, download_manager, downloader, resource

from train.data.dataset import DataError
from train.data.sources.idx import parse_idx
from train.data.sources.published_files import CIFAR_BATCHES, FILES, read_manual

downloader.MAX_RETRIES = 2  # tensorflow_datasets' own 10 are three minutes of silence


class _Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    VERSION = tfds.core.Version("1.0.0")
    source: str
    shape: tuple[int | None, ...] = (28, 28)
    dtype: type = np.uint8
    num_classes: int | None = 10
    manual_dir: Path | None = None
    embedded = "mnist_1bit"  # what needs no network
    kind = "image"  # the feature that is not the label

    @property
    def url_infos(self):
        return {
            f.url: checksums.UrlInfo(tfds.core.utils.Size(f.size), f.sha256, f.name)
            for f in FILES[self.source]
        }

    def _info(self):
        values = tfds.features.Tensor(shape=self.shape, dtype=self.dtype, encoding="bytes")
        label = (
            {"label": tfds.features.ClassLabel(num_classes=self.num_classes)}
            if self.num_classes
            else {}
        )
        features = tfds.features.FeaturesDict({self.kind: values, **label})
        return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

    def _generate_examples(self, values, labels=None):
        for i, each in enumerate(values):
            yield i, {self.kind: each} if labels is None else {self.kind: each, "label": labels[i]}

    def _fetch(self, dl_manager):
        return [self._fetch_one(dl_manager, file) for file in FILES[self.source]]

    def _fetch_one(self, dl_manager, file):
        if self.manual_dir:
            content = read_manual(self.manual_dir, file.name, file.sha256)
            if content is None:
                raise DataError(
                    f"{self.source}: neither {file.name} nor {file.name}.xz in {self.manual_dir}"
                )
            return content
        cached = dl_manager.download_dir / self.name / resource.get_dl_fname(file.url, file.sha256)
        try:
            if not cached.exists():
                requests.head(file.url, timeout=3)  # is there a network at all?
                print(f"{self.source}: downloading {file.url}", file=sys.stderr)
            return Path(dl_manager.download(file.url)).read_bytes()
        except (requests.RequestException, tfds.download.DownloadError) as error:
            offline = isinstance(error, requests.ConnectionError | requests.Timeout)
            why = (
                f"no network ({type(error).__name__})" if offline else " ".join(str(error).split())
            )
        except download_manager.NonMatchingChecksumError:
            why = f"what came is not the original of sha256 {file.sha256}"
        names = ", ".join(f.name for f in FILES[self.source])
        raise DataError(
            f"{self.source}: could not download {file.url}: {why}. Put the original files "
            f"{names} into a folder and "
            "pass --data.manual-dir FOLDER, or use what needs no network: --data.name "
            f"{self.embedded}"
        )


class ZooMnist(_Builder):
    """MNIST, 28x28 grey."""

    source = "mnist"

    def _split_generators(self, dl_manager):
        contents = zip(self._fetch(dl_manager), FILES[self.source], strict=True)
        x, y, test_x, test_y = (
            parse_idx(gzip.decompress(content), file.name) for content, file in contents
        )
        return {
            "train": self._generate_examples(x, y),
            "test": self._generate_examples(test_x, test_y),
        }


class ZooFashionMnist(ZooMnist):
    """Fashion-MNIST: the format of MNIST."""

    source = "fashion_mnist"


class ZooBinarizedMnist(_Builder):
    """Larochelle's fixed binarisation of MNIST: text, one image a line, in an order of its own and
    without labels.
    """

    source = "binarized_mnist"
    num_classes = None

    def _split_generators(self, dl_manager):
        # "0 1 ... 0\n": every second byte is a bit
        bits = (
            np.frombuffer(content, np.uint8)[::2] - ord("0") for content in self._fetch(dl_manager)
        )
        return {
            split: self._generate_examples(x.reshape(-1, 28, 28))
            for split, x in zip(("train", "valid", "test"), bits, strict=True)
        }


class ZooCifar10(_Builder):
    """CIFAR-10, 32x32 RGB; a config named `batches_N...` holds only those of the five training
    batches.
    """

    source = "cifar10"
    shape = (32, 32, 3)

    def _split_generators(self, dl_manager):
        if self.builder_config and self.manual_dir:
            names = cifar_batches(self.manual_dir)
            contents = (read_manual(self.manual_dir, name, CIFAR_BATCHES[name]) for name in names)
            batches = [content for content in contents if content]
        else:
            with tarfile.open(fileobj=io.BytesIO(self._fetch(dl_manager)[0])) as archive:
                members = (
                    archive.extractfile(f"cifar-10-batches-bin/{name}") for name in CIFAR_BATCHES
                )
                batches = [member.read() for member in members if member]
        *train, test = batches
        return {
            "train": self._generate_examples(*_records(b"".join(train))),
            "test": self._generate_examples(*_records(test)),
        }


class ZooTinyShakespeare(_Builder):
    """Tiny Shakespeare: one example, the bytes of the whole text."""

    source = "tiny_shakespeare"
    shape = (FILES["tiny_shakespeare"][0].size,)
    num_classes = None
    embedded = "python_docs"

    def _split_generators(self, dl_manager):
        return {
            "whole": self._generate_examples([np.frombuffer(self._fetch(dl_manager)[0], np.uint8)])
        }


class ZooSpokenDigit(_Builder):
    """Spoken digits of 8 kHz, int16: of every speaker and digit recordings 0-4 are for the test, as
    the set's README says, 5-9 here for validation.
    """

    source = "spoken_digit"
    shape = (None,)
    dtype = np.int16
    embedded = "tones"
    kind = "audio"

    def _split_generators(self, dl_manager):
        from scipy.io import wavfile

        splits: dict[str, list] = {"train": [], "valid": [], "test": []}
        with tarfile.open(fileobj=io.BytesIO(self._fetch(dl_manager)[0])) as archive:
            names = (name for name in archive.getnames() if name.endswith(".wav"))
            for name in sorted(names):  # .../recordings/3_jackson_17.wav
                digit, _, index = Path(name).stem.split("_")
                member = archive.extractfile(name)
                assert member is not None, f"{name} is no file"
                rate, wave = wavfile.read(io.BytesIO(member.read()))
                assert (rate, wave.dtype) == (8000, np.int16), (
                    f"{name} has {rate} samples of {wave.dtype} a second"
                )
                which = "test" if int(index) < 5 else "valid" if int(index) < 10 else "train"
                splits[which].append((wave, int(digit)))
        return {
            split: self._generate_examples(*zip(*pairs, strict=True))
            for split, pairs in splits.items()
        }


def cifar_batches(folder: Path) -> list[str]:
    """The batches of CIFAR-10 that lie in a folder, as .bin or .bin.xz, the test batch last."""
    return [
        name
        for name in CIFAR_BATCHES
        if (folder / name).is_file() or (folder / f"{name}.xz").is_file()
    ]


BUILDERS = {
    builder.source: builder
    for builder in (
        ZooMnist,
        ZooFashionMnist,
        ZooBinarizedMnist,
        ZooCifar10,
        ZooTinyShakespeare,
        ZooSpokenDigit,
    )
}


def _records(content):
    rows = np.frombuffer(content, np.uint8).reshape(
        -1, 1 + 3 * 32 * 32
    )  # label, red plane, green, blue
    return np.ascontiguousarray(rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), rows[
        :, 0
    ]
