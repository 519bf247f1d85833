"""Prequential evaluation (Dawid 1984; Gama et al. 2013): every sample is a test first and a lesson after."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from atoll.benchmarks.online.learner import OnlineClassifier
from atoll.benchmarks.online.streams import Stream
from atoll.errors import ConfigError

_UNKNOWN = 0
"""The answer of who knows nothing yet."""


def prequential(
    learner: OnlineClassifier, stream: Stream, delay: int = 0, tell: Callable[[int], None] = lambda done: None
) -> NDArray[np.int64]:
    """What a learner answers to every sample before it learns from it, [N].

    Args:
        learner: Learns on the way.
        stream: N samples.
        delay: Samples that go by between a sample and its label: the label of sample t is learnt after the answer to
            sample ``t + delay``, with the features that it belongs to.
        tell: Told how many samples are done.

    Raises:
        ConfigError: the delay is negative.
    """
    if delay < 0:
        raise ConfigError(f"drift: delay is {delay}; labels cannot come before their samples")
    answers = np.full(len(stream.samples), _UNKNOWN)
    for t, x in enumerate(stream.samples):
        answer = learner.predict_one(x)
        if isinstance(answer, int):
            answers[t] = answer
        if t >= delay:
            learner.learn_one(stream.samples[t - delay], stream.labels[t - delay])
        tell(t + 1)
    return answers
