"""Streams to test with."""

import math
from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from atoll.continual import StreamMatrix

FIGURE = st.integers(0, 1000).map(lambda number: number / 1000)
"""Coarse, so that equal and constant figures come up."""


def stream(values: Sequence[Sequence[float]], stages: Sequence[Sequence[str]] | None = None) -> StreamMatrix:
    """Accuracies, one silo a stage unless it is said otherwise."""
    array = np.array(values, dtype=np.float64)
    names = stages or [(letter,) for letter in "abcdefgh"[: array.shape[1]]]
    return StreamMatrix(metric="accuracy@1", higher_is_better=True, stages=tuple(map(tuple, names)), values=array)


@st.composite
def stage_names(draw: st.DrawFn, shortest: int = 1) -> tuple[tuple[str, ...], ...]:
    sizes = draw(st.lists(st.integers(1, 3), min_size=shortest, max_size=5))
    names = iter(f"silo-{number}" for number in range(sum(sizes)))
    return tuple(tuple(next(names) for _ in range(size)) for size in sizes)


@st.composite
def matrices(draw: st.DrawFn, *, shortest: int = 1, complete: bool = True) -> StreamMatrix:
    """Streams with several arrivals a stage, of either sense, with all references; with holes unless complete."""
    stages = draw(stage_names(shortest))
    silos = sum(map(len, stages))
    figure = FIGURE if complete else FIGURE | st.just(math.nan)

    def drawn(*shape: int) -> NDArray[np.float64]:
        count = math.prod(shape)
        return np.array(draw(st.lists(figure, min_size=count, max_size=count))).reshape(shape)

    return StreamMatrix(
        metric="metric",
        higher_is_better=draw(st.booleans()),
        stages=stages,
        values=drawn(len(stages) + 1, silos),
        local=drawn(silos),
        joint=drawn(silos),
        initial=drawn(silos),
    )
