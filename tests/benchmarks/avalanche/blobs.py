"""Small streams of Gaussian blobs, and a small model."""

import importlib.util

import numpy as np
import pytest
import torch
from torch import nn

from atoll.benchmarks.avalanche.contexts import Context, ContextStream, Samples, Scenario, split_classes

needs_avalanche = pytest.mark.skipif(
    importlib.util.find_spec("avalanche") is None,
    reason="avalanche-lib is not installed here: make avalanche runs this",
)


def blobs(scenario: Scenario, classes: int = 4, each: int = 20) -> ContextStream:
    """Pairs of classes far apart from one another, 2 × 2 pixels."""
    generator = np.random.default_rng(3)
    centres = 3 * generator.normal(size=(classes, 1, 2, 2))

    def samples() -> Samples:
        labels = np.repeat(np.arange(classes), each)
        inputs = centres[labels] + generator.normal(size=(len(labels), 1, 2, 2))
        return Samples(inputs.astype(np.float32), labels.astype(np.int64))

    whole = Context("blobs", tuple(range(classes)), samples(), samples(), samples())
    return split_classes(whole, [(first, first + 1) for first in range(0, classes, 2)], scenario)


def model(stream: ContextStream) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        size = int(np.prod(stream.shape))
        return nn.Sequential(nn.Flatten(), nn.Linear(size, 16), nn.ReLU(), nn.Linear(16, stream.classes))
