"""The sets that arrive with an installation: MNIST at 1 bit a pixel, and scikit-learn's 8x8 digits."""

from pathlib import Path

import numpy as np

from train.data.dataset import Data, DataError, Dataset, Split, generator, hold_out, take


def mnist_1bit(data: Data) -> Dataset:
    """All of MNIST, each pixel drawn once as Bernoulli(grey/255); packed by `pack_mnist.py`."""
    with np.load(Path(__file__).parents[1] / "mnist_1bit.npz", allow_pickle=False) as file:
        x = np.unpackbits(file["images"], axis=1).reshape(-1, 28, 28)
        labels = file["labels"].astype(np.int32)
    train, valid = hold_out(Split(x[:60000], labels[:60000]), data.valid)
    test = Split(x[60000:], labels[60000:])
    return Dataset(data.name, "MNIST, 1 bit a pixel (fixed seeded draw)", train, valid, test, 2, 10)


def digits(data: Data) -> Dataset:
    """1,797 digits of 8x8 pixels and 17 grey levels, split 1,297 / 250 / 250 by a fixed
    permutation.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError(
            f"digits needs scikit-learn: pip install 'autoregressive-zoo[data]' ({error})"
        ) from None
    bunch = load_digits()
    whole = Split(bunch.images.astype(np.uint8), bunch.target.astype(np.int32))
    order = generator(0).permutation(len(whole.x))
    train, valid, test = (take(whole, index) for index in np.split(order, [1297, 1547]))
    return Dataset(data.name, "scikit-learn digits 8x8", train, valid, test, 17, 10)
