"""Streams by name: river's generators with concepts that change, and the real sets that river's package holds."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Protocol

from river import datasets
from river.datasets import synth

from atoll.benchmarks.online.concepts import Drift, draw, quarters
from atoll.errors import ConfigError, DataError

Sample = dict[Any, float]
"""Values of the features, numbered from 0. The keys' type is river's."""

_ABRUPT, _GRADUAL = 50 / 1e6, 50e3 / 1e6
"""Widths of drifts by length, those of DriftMoE's streams of a million samples."""
_SEA = (0, 1, 3, 0)
"""river's variants with the thresholds 8, 9, 9.5 and 8: the published code's, in which the first concept comes back."""
_LED = (1, 3, 5, 7)
"""How many features have changed places, by concept."""
_NOISE = 0.1


@dataclass(frozen=True, slots=True)
class Facts:
    """What a learner may know of a stream before it begins.

    Attributes:
        features: How many.
        classes: How many; labels are numbered from 0.
        nominal: Features whose values are names, not amounts.
    """

    features: int
    classes: int
    nominal: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Stream:
    """Samples with labels, in order.

    Attributes:
        facts: What a learner may know before.
        samples: Features of each.
        labels: As many, from 0.
        drifts: Where the concept changes, as far as that is known.
    """

    facts: Facts
    samples: list[Sample]
    labels: list[int]
    drifts: tuple[Drift, ...] = ()


class Generator(Protocol):
    """river's generators and sets."""

    def __iter__(self) -> Iterator[Any]: ...


def read_stream(name: str, length: int, seed: int) -> Stream:
    """The first samples of a stream.

    Args:
        name: One of :data:`STREAMS`.
        length: Samples, at most: real sets may end earlier.
        seed: Of generators; real sets keep their order, whatever the seed.

    Raises:
        ConfigError: no such stream, or no length.
    """
    if name not in STREAMS:
        raise ConfigError(f"drift: there is no stream '{name}'; there are {', '.join(STREAMS)}")
    if length < 4:
        raise ConfigError(f"drift: length is {length}; a stream needs at least 4 samples")
    return STREAMS[name](length, seed)


def _sea(share: float, length: int, seed: int) -> Stream:
    """Is the sum of two of three features above a threshold? (Street and Kim 2001); one label in ten is wrong."""
    concepts = [synth.SEA(variant=variant, noise=_NOISE, seed=4 * seed + n) for n, variant in enumerate(_SEA)]
    return _joined(concepts, Facts(3, 2), share, length, seed)


def _led(share: float, length: int, seed: int) -> Stream:
    """Which digit do seven segments show, among seventeen that say nothing (Breiman et al. 1984)?

    Features change places from concept to concept; a tenth of the segments' states are wrong.
    """
    concepts = [
        synth.LEDDrift(seed=4 * seed + n, noise_percentage=_NOISE, irrelevant_features=True, n_drift_features=moved)
        for n, moved in enumerate(_LED)
    ]
    return _joined(concepts, Facts(24, 10, tuple(range(24))), share, length, seed)


def _joined(concepts: Iterable[Generator], facts: Facts, share: float, length: int, seed: int) -> Stream:
    drifts = quarters(length, max(1, round(share * length)))
    sources = [iter(concept) for concept in concepts]
    pairs = [next(sources[concept]) for concept in draw(drifts, length, seed)]
    return Stream(facts, [x for x, _ in pairs], [int(y) for _, y in pairs], drifts)


def _rbf(speed: float, length: int, seed: int) -> Stream:
    """Of which class is the nearest of fifty centres, all of which move with every sample?"""
    moving = synth.RandomRBFDrift(seed, seed, n_classes=5, n_features=10, n_centroids=50, change_speed=speed)
    pairs = list(islice(moving, length))
    return Stream(Facts(10, 5), [x for x, _ in pairs], [y for _, y in pairs])


def _real(kind: Callable[[], Generator], length: int, seed: int) -> Stream:
    pairs = list(islice(kind(), length))
    names, classes = list(pairs[0][0]), sorted({y for _, y in pairs})
    if len(classes) < 2:
        raise DataError(f"drift: the first {length} samples of {kind.__name__} are of one class; take more")
    samples = [{n: float(x[name]) for n, name in enumerate(names)} for x, _ in pairs]
    return Stream(Facts(len(names), len(classes)), samples, [classes.index(y) for _, y in pairs])


STREAMS: Mapping[str, Callable[[int, int], Stream]] = {
    "sea-abrupt": partial(_sea, _ABRUPT),
    "sea-gradual": partial(_sea, _GRADUAL),
    "led-abrupt": partial(_led, _ABRUPT),
    "led-gradual": partial(_led, _GRADUAL),
    "rbf-moderate": partial(_rbf, 1e-4),
    "rbf-fast": partial(_rbf, 1e-3),
    "phishing": partial(_real, datasets.Phishing),
    "bananas": partial(_real, datasets.Bananas),
    "image-segments": partial(_real, datasets.ImageSegments),
    "shuttle": partial(_real, datasets.Shuttle),
}
"""What is drawn or read, by length and seed."""
