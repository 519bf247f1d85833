"""Generative replay and distillation: samples of a frozen earlier mixture stand in for data that is not there.

An owner's :class:`Prior` is all that a generator keeps of it; a :class:`ReplaySet` is what was drawn, and from what.
"""

from atoll.replay.disclosure import Disclosure, NothingToTell
from atoll.replay.distill import Distillation, followed
from atoll.replay.draw import Draw, draw_replay, without_memorised
from atoll.replay.filters import Memorised, nearly_repeated, repeated, too_near
from atoll.replay.mixing import mix_weights, replay_loss
from atoll.replay.prior import Declaration, Prior
from atoll.replay.replay import GROUP, Replay, Sample, Vocabulary
from atoll.replay.replay_set import Provenance, ReplaySet
from atoll.replay.sampling import Sampling
from atoll.replay.teacher import Teacher

__all__ = [
    "GROUP",
    "Declaration",
    "Disclosure",
    "Distillation",
    "Draw",
    "Memorised",
    "NothingToTell",
    "Prior",
    "Provenance",
    "Replay",
    "ReplaySet",
    "Sample",
    "Sampling",
    "Teacher",
    "Vocabulary",
    "draw_replay",
    "followed",
    "mix_weights",
    "nearly_repeated",
    "repeated",
    "replay_loss",
    "too_near",
    "without_memorised",
]
