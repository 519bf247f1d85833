"""Data sets of pictures, by name."""

import difflib
from collections.abc import Callable, Mapping

from atoll.benchmarks.datasets import animal_shapes, digits, fashion_mnist, mnist
from atoll.benchmarks.datasets.image_set import ImageSet
from atoll.errors import ConfigError

READERS: Mapping[str, Callable[[], ImageSet]] = {
    "animal-shapes": animal_shapes.read,
    "digits": digits.read,
    "fashion-mnist": fashion_mnist.read,
    "mnist": mnist.read,
}
"""By name of the data set."""


def read_images(name: str) -> ImageSet:
    """The data set of that name.

    Raises:
        ConfigError: there is none.
        DataError: it is not installed, or is another than the one that is known.
    """
    if name not in READERS:
        close = difflib.get_close_matches(name, READERS, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise ConfigError(f"there is no data set '{name}': {hint}there are {', '.join(READERS)}")
    return READERS[name]()
