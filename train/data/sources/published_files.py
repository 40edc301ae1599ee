"""The original files of the standard sets: where they are published, and the official sizes and
checksums.
"""

import gzip
import hashlib
import lzma
from pathlib import Path
from typing import NamedTuple

from train.data.dataset import DataError

UNPACKED = 2**28  # bytes of a packed file, at most: more than any of those below


class File(NamedTuple):
    """One published file."""

    url: str
    size: int
    sha256: str
    known_as: str | None = None

    @property
    def name(self) -> str:
        """The last part of the address, or the name under which its server sends it."""
        return self.known_as or self.url.rpartition("/")[2]


def unpacked(path: Path) -> bytes:
    """The content of a file, that of a .gz or .xz unpacked.

    Raises:
      DataError: it unpacks to more than `UNPACKED` bytes.
    """
    if path.suffix not in (".gz", ".xz"):
        return path.read_bytes()
    with gzip.open(path) if path.suffix == ".gz" else lzma.open(path) as file:
        content = file.read(UNPACKED + 1)
    if len(content) > UNPACKED:
        raise DataError(
            f"{path} unpacks to more than {UNPACKED:,} bytes, which no file of these data has; "
            "fetch it again"
        )
    return content


def read_manual(folder: Path, name: str, sha256: str) -> bytes | None:
    """A file of a folder, or its .xz unpacked, checked against `sha256`; None where there is
    neither.
    """
    for path in (folder / name, folder / f"{name}.xz"):
        if path.is_file():
            try:
                content = unpacked(path) if path.suffix == ".xz" else path.read_bytes()
            except (lzma.LZMAError, EOFError) as error:
                raise DataError(
                    f"{path} is not a whole .xz file ({error}); fetch it again"
                ) from None
            got = hashlib.sha256(content).hexdigest()
            if got != sha256:
                raise DataError(
                    f"{path} is not the original: its sha256 is {got}, expected {sha256} "
                    f"({len(content)} bytes came); fetch it again"
                )
            return content
    return None


_IDX = tuple(
    f"{part}-ubyte.gz"
    for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
)
_MNIST = "https://storage.googleapis.com/cvdf-datasets/mnist/"
_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_AMAT = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/binarized_mnist_"
_CIFAR = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"

_DIGITS = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/v1.0.9.tar.gz"
_SHAKESPEARE = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)

FILES: dict[str, tuple[File, ...]] = {
    "mnist": (
        File(
            _MNIST + _IDX[0],
            9912422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        File(
            _MNIST + _IDX[1],
            28881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        File(
            _MNIST + _IDX[2],
            1648877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        File(
            _MNIST + _IDX[3],
            4542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
    "fashion_mnist": (
        File(
            _FASHION + _IDX[0],
            26421880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        File(
            _FASHION + _IDX[1],
            29515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        File(
            _FASHION + _IDX[2],
            4422102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        File(
            _FASHION + _IDX[3],
            5148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
    "binarized_mnist": (
        File(
            _AMAT + "train.amat",
            78400000,
            "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
        ),
        File(
            _AMAT + "valid.amat",
            15680000,
            "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
        ),
        File(
            _AMAT + "test.amat",
            15680000,
            "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
        ),
    ),
    "cifar10": (
        File(_CIFAR, 170052171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
    ),
    "tiny_shakespeare": (
        File(
            _SHAKESPEARE,
            1115394,
            "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        ),
    ),
    "spoken_digit": (
        File(
            _DIGITS,
            11975353,
            "8bc44cde129d505cbbb6b365c09f80c663f2aa77578afc634e6141a2f87100c0",
            "free-spoken-digit-dataset-1.0.9.tar.gz",
        ),
    ),
}

CIFAR_BATCHES = {  # sha256 of the members of cifar-10-binary.tar.gz
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}
