"""Published data that keras.datasets downloads once and caches."""

import contextlib
import sys

import numpy as np

from kcnn.data.listing import Listing, Source
from kcnn.errors import DataError

CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
CIFAR100 = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly "
    "camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile "
    "cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp "
    "lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree "
    "orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum "
    "rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider "
    "squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train "
    "trout tulip turtle wardrobe whale willow_tree wolf woman worm"
)
FASHION_MNIST = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
]
DIGITS = [str(digit) for digit in range(10)]


def cifar10() -> Source:
    """60,000 photographs of 32x32 pixels in 10 classes (Krizhevsky, 2009); downloaded once."""
    return _fetch("cifar10", CIFAR10.split())


def cifar100() -> Source:
    """60,000 photographs of 32x32 pixels in 100 classes (Krizhevsky, 2009); downloaded once."""
    return _fetch("cifar100", CIFAR100.split())


def mnist() -> Source:
    """70,000 handwritten digits of 28x28 grey pixels (LeCun et al., 1998); downloaded once."""
    return _fetch("mnist", DIGITS)


def fashion_mnist() -> Source:
    """70,000 articles of clothing of 28x28 grey pixels (Xiao et al., 2017); downloaded once."""
    return _fetch("fashion_mnist", FASHION_MNIST)


def _fetch(name, class_names):
    import keras

    try:
        # Keras reports its download on stdout, which belongs to the command's result.
        with contextlib.redirect_stdout(sys.stderr):
            train, test = getattr(keras.datasets, name).load_data()
    except Exception as error:  # URLError, HTTPError, a bare Exception, damaged files: Keras raises each
        raise DataError(
            f"Cannot download {name!r}: {error}. If you have its images, give them with --data PATH "
            "(a folder, .zip, .tar or CSV file); the dataset 'digits' needs no download."
        ) from error
    return Source(
        {"train": _listing(name, train, class_names), "test": _listing(name, test, class_names)},
        class_names=class_names,
    )


def _listing(name, arrays, class_names):
    images, labels = arrays
    images = images[..., None] if images.ndim == 3 else images
    labels = [class_names[label] for label in np.ravel(labels)]
    return Listing([f"{index:05d}" for index in range(len(labels))], labels, images, where=f"{name}/")
