"""What of the canaries a release, and replay drawn from it, give away."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import torch

from atoll.benchmarks.privacy.planted import Secrets
from atoll.clients.audit.given_back import given_back
from atoll.clients.audit.losses import losses_of
from atoll.clients.audit.published import shingle_distances
from atoll.privacy.attacks import Floats, loss_scores, nearest_scores
from atoll.privacy.canaries import exposure
from atoll.privacy.extraction import ExtractionSettings
from atoll.privacy.membership import membership_report
from atoll.replay import ReplaySet, Teacher
from atoll.replay.grams import Tokens
from atoll.strategies.replay.autoregressive import Autoregressive
from atoll.workloads.text import Text
from atoll.workloads.workload import Batch

_BATCH = 32
_SETTINGS = ExtractionSettings(prefixes=1000, prefix=32, minimum=32, continuation=64)


def caught(release: Teacher, workload: Text, secrets: Secrets, published: ReplaySet, seed: int) -> dict[str, float]:
    """Exposure, extraction and membership of canaries, by name; membership from published replay too.

    Args:
        release: Whoever has been trained on them.
        workload: Reads them as the release does.
        secrets: The canaries.
        published: Replay drawn from the release.
        seed: Of the sampling.
    """
    replay = Autoregressive()
    texts = (secrets.planted, secrets.candidates)
    # As they stand in a document: behind a blank.
    tokens = [[np.array(workload.tokenizer(f" {text}")["input_ids"], np.int64) for text in side] for side in texts]
    losses = [losses_of(release, workload, _batches(workload, side)) for side in tokens]
    drawn = [replay.tokens(sample) for sample in published.samples]
    near = [nearest_scores(shingle_distances(side, drawn)) for side in tokens]
    context = workload.replay_context(None)
    return {
        **_mean("exposure", exposure(*losses)),
        **given_back(release, tokens[0], context, _SETTINGS, seed).figures("extraction_canaries"),
        **membership_report("canaries", *map(loss_scores, losses)).figures(),
        **membership_report("canaries_replay", *near).figures(),
    }


def _mean(name: str, values: Floats) -> dict[str, float]:
    """With its normal 95 % interval over canaries."""
    half = NormalDist().inv_cdf(0.975) * float(values.std(ddof=1)) / math.sqrt(len(values))
    mean = float(values.mean())
    return {name: mean, f"{name}_low": mean - half, f"{name}_high": mean + half}


def _batches(workload: Text, sequences: Sequence[Tokens]) -> list[Batch]:
    found = []
    for start in range(0, len(sequences), _BATCH):
        rows = sequences[start : start + _BATCH]
        length = max(map(len, rows))
        ids = torch.zeros(len(rows), length, dtype=torch.int64)
        mask = torch.zeros(len(rows), length, dtype=torch.bool)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)], mask[row, : len(tokens)] = torch.from_numpy(tokens), True
        found.append(workload.as_batch({"input_ids": ids}, mask))
    return found
