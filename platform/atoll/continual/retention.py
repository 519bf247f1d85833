"""What time and what aggregation take from federated continual learners, from tensors of the silos' own models and of
the integrated one.
"""

import math

import numpy as np
from numpy.typing import NDArray

from atoll.continual.measures import ratios
from atoll.continual.tensor import StreamTensor
from atoll.errors import DataError


def knowledge_retention_time(local: StreamTensor) -> float | None:
    """Temporal knowledge retention KR_t: mean over silos of what its model scores in the end on its first task, over
    what it scored on it when that had come (Yu et al. 2024, arXiv 2412.18355, equation 11, after Yang et al. 2023,
    arXiv 2312.16475).

    Silos whose first task came with the last stage are left out: nothing has happened to them. None where nobody
    remains, or a figure is missing.

    Args:
        local: Of the silos' own models; that of the integrated model says what time takes from it.
    """
    kept = []
    for place, silo in enumerate(local.silos):
        task = local.owners.index(silo)
        if (start := int(local.arrivals[task])) < len(local.stages):
            kept.append((local.values[place, -1, task], local.values[place, start, task]))
    return _mean_ratio(kept, local.higher_is_better)


def knowledge_retention_silos(integrated: StreamTensor, local: StreamTensor) -> float | None:
    """Spatial knowledge retention KR_s: mean over silos of what the integrated model scores in the end on the silo's
    newest task, over what the silo's own model scores on it (Yu et al. 2024, arXiv 2412.18355, equation 12, after Yang
    et al. 2023, arXiv 2312.16475).

    None where a figure is missing.

    Raises:
        DataError: the tensors are of different streams.
    """
    ours, theirs = ((one.metric, one.higher_is_better, one.stages, one.owners) for one in (integrated, local))
    if ours != theirs:
        raise DataError(f"knowledge retention over silos compares one stream with itself, not {ours} with {theirs}")
    kept = []
    for place, silo in enumerate(local.silos):
        task = max(number for number, owner in enumerate(local.owners) if owner == silo)
        kept.append((integrated.values[place, -1, task], local.values[place, -1, task]))
    return _mean_ratio(kept, local.higher_is_better)


def _mean_ratio(pairs: list[tuple[np.float64, np.float64]], higher_is_better: bool) -> float | None:
    now, then = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    shares: NDArray[np.float64] = ratios(now, then, higher_is_better)
    mean = float(shares.mean()) if shares.size else math.nan
    return None if math.isnan(mean) else mean
