"""Images: one bit, grey or colour, from files or from the standard sets."""

from train.data.embedded import digits, mnist_1bit
from train.data.images import images
from train.data.standard import standard
from train.data.values import convert
from train.kinds.arrays import Arrays


class Images(Arrays):
    """Images are binarised or requantised as the flags say."""

    name = "images"
    holds = "images"
    example = "mnist_1bit"
    own = "images"
    flags = ("binarise", "levels", "valid")
    loaders = {
        "mnist_1bit": mnist_1bit,
        "digits": digits,
        "mnist": standard,
        "binarized_mnist": standard,
        "fashion_mnist": standard,
        "cifar10": standard,
        "images": images,
    }

    def loaded(self, dataset, data):
        return convert(dataset, data)


KIND = Images()
