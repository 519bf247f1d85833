"""Replay of one owner's domain as batches to train on, wherever it is drawn: at a newcomer, or at the coordinator."""

from collections.abc import Collection

from atoll.errors import PackageError
from atoll.replay import Draw, Prior, Replay, Teacher, draw_replay
from atoll.workloads.workload import Batch, Workload


def replayed_batches(
    workload: Workload,
    generator: Replay,
    teacher: Teacher,
    prior: Prior | None,
    context: bytes | None,
    *,
    budget: int,
    size: int,
    owner: str,
    release: str,
    experts: Collection[str],
    seed: int,
) -> list[Batch]:
    """Draw samples, and lay them side by side.

    Args:
        workload: Of whoever draws; its templates are what samples are aligned to.
        generator: Draws.
        teacher: The frozen release.
        prior: The owner's; ``None`` where it was refused.
        context: What is public of the owner's domain, as its package has it.
        budget: Samples.
        size: Of a batch; the last may be smaller.
        owner: Whose domain.
        release: The teacher's digest.
        experts: Owners whose experts answer in the teacher.
        seed: Of the draw.

    Raises:
        PackageError: a prior of something else, or one that permits no sample.
    """
    public = workload.replay_context(context)
    samples = draw_replay(
        generator,
        teacher,
        prior,
        public,
        Draw(budget=budget, repetition=None),
        owner=owner,
        release=release,
        experts=experts,
        seed=seed,
        templates=workload.replay_templates(),
    ).samples
    if not samples:
        raise PackageError(f"replay of '{owner}' drew nothing: its prior permits no sample")
    starts = range(0, len(samples), size)
    return [workload.as_batch(*generator.batch(samples[at : at + size], public)) for at in starts]
