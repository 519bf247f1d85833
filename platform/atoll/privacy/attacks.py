"""Scores for membership inference: the higher, the more a sample looks like one that was trained on."""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atoll.errors import DataError

Floats = NDArray[np.floating[Any]]

_ROWS = 1024
"""Samples whose distances to all published ones are held at a time."""


def loss_scores(losses: Floats) -> NDArray[np.float64]:
    """Low loss, so a member (Yeom et al. 2018, arXiv 1709.01604).

    Args:
        losses: [N], the release's mean loss on each sample.
    """
    return -np.asarray(losses, dtype=np.float64)


def calibrated_scores(losses: Floats, reference: Floats) -> NDArray[np.float64]:
    """Loss lower than a model expects that never saw the sample (Watson et al. 2022, arXiv 2111.08440).

    Args:
        losses: [N], the release's mean loss on each sample.
        reference: [N], the anchor's on the same.

    Raises:
        DataError: not one of each for every sample.
    """
    found, expected = np.asarray(losses, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if found.shape != expected.shape:
        raise DataError(f"membership: {found.shape} losses, but {expected.shape} of the reference; score the same")
    return expected - found


def zlib_scores(losses: Floats, documents: Sequence[bytes]) -> NDArray[np.float64]:
    """Low loss for how much there is to be told, so a member: the loss over the document's compressed size (Carlini et
    al. 2021, arXiv 2012.07805).

    Args:
        losses: [N], the release's mean loss on each document, in nats a token.
        documents: The documents' bytes, N of them.

    Raises:
        DataError: not one document for every loss.
    """
    if len(losses) != len(documents):
        raise DataError(f"membership: {len(losses)} losses, but {len(documents)} documents; score the same")
    sizes = np.array([len(zlib.compress(document)) for document in documents], dtype=np.float64)
    return -np.asarray(losses, dtype=np.float64) / sizes


def replay_scores(samples: Tensor, published: Tensor, neighbours: int = 5) -> NDArray[np.float64]:
    """Near to published replay samples, so a member (after Chen et al. 2020, GAN-Leaks, arXiv 1909.03935).

    Args:
        samples: [N, D], what is asked about, as vectors.
        published: [R, D], the published samples.
        neighbours: The distance is the mean Euclidean one to so many nearest.

    Raises:
        DataError: fewer published samples than neighbours.
    """
    parts = [nearest_scores(torch.cdist(rows, published), neighbours) for rows in samples.split(_ROWS)]
    return np.concatenate(parts) if parts else np.empty(0)


def nearest_scores(distances: Tensor, neighbours: int = 5) -> NDArray[np.float64]:
    """The same from distances of any kind, such as :func:`atoll.privacy.uniqueness.point_distances`.

    Args:
        distances: [N, R].
        neighbours: The mean is over so many nearest.

    Raises:
        DataError: fewer published samples than neighbours.
    """
    if distances.shape[1] < neighbours:
        raise DataError(f"membership: {distances.shape[1]} published samples, but {neighbours} neighbours; take fewer")
    nearest = distances.double().topk(neighbours, dim=1, largest=False).values
    found: NDArray[np.float64] = -nearest.mean(1).cpu().numpy()
    return found
