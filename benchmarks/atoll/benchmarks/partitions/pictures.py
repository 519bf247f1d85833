"""Data sets of pictures as one pool."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atoll.benchmarks.datasets.image_set import ImageSet, resized
from atoll.benchmarks.datasets.images import read_images
from atoll.benchmarks.partitions.partition import Pool
from atoll.errors import ConfigError


@dataclass(frozen=True, eq=False, kw_only=True)
class Pictures:
    """Pictures of one or several data sets.

    Attributes:
        images: uint8 [N, side, side].
        classes: Names of all classes; of several data sets, those of each after the other, as ``DATA CLASS``.
        pool: What is dealt out; a source is a data set.
    """

    images: NDArray[np.uint8]
    classes: tuple[str, ...]
    pool: Pool


def pooled(names: Sequence[str], *, samples: int, side: int, seed: int) -> Pictures:
    """Read data sets, and put them one after the other.

    Args:
        names: Of the data sets.
        samples: Of each, drawn at random; 0 for all.
        side: Of the pictures.
        seed: Of the draw.

    Raises:
        ConfigError: no data set, one twice, or one that there is not.
        DataError: one that is not installed.
    """
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"data is {', '.join(names) or 'empty'}; name one or several data sets, each once")
    drawn = [_drawn(read_images(name), samples, seed + place) for place, name in enumerate(names)]
    starts = np.cumsum([0, *(len(one.classes) for one in drawn)])
    labels = np.concatenate([one.labels + start for one, start in zip(drawn, starts, strict=False)])
    origins = np.repeat(np.arange(len(drawn)), [len(one) for one in drawn])
    return Pictures(
        images=np.concatenate([resized(one.images, side) for one in drawn]),
        classes=drawn[0].classes
        if len(drawn) == 1
        else tuple(f"{one.name} {of}" for one in drawn for of in one.classes),
        pool=Pool(labels=labels, classes=int(starts[-1]), origins=origins, sources=tuple(names)),
    )


def _drawn(images: ImageSet, samples: int, seed: int) -> ImageSet:
    if samples == 0:
        return images
    if not 0 < samples <= len(images):
        raise ConfigError(f"data set '{images.name}' has {len(images)} samples, not {samples}; 0 takes all")
    kept = np.sort(np.random.default_rng(seed).choice(len(images), samples, replace=False))
    return ImageSet(
        name=images.name,
        classes=images.classes,
        images=images.images[kept],
        labels=images.labels[kept],
        licence=images.licence,
    )
