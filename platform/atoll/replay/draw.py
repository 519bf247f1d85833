"""Draw a replay set: generate within a budget, drop repetitions, and note where everything comes from."""

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from atoll.errors import ConfigError
from atoll.replay.filters import MEASURES, Memorised, nearly_repeated, repeated, too_near
from atoll.replay.prior import Prior
from atoll.replay.replay import Replay
from atoll.replay.replay_set import Provenance, ReplaySet
from atoll.replay.teacher import Teacher


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """How much is drawn, and which repetitions go.

    Attributes:
        budget: Samples that are drawn; what filters take away is not made up for, so that cost and exposure are fixed.
        repetition: Similarity from which on a sample repeats an earlier one; ``None`` drops only equal ones.
        measure: Of that similarity: ``jaccard`` or ``edit``, see :func:`atoll.replay.filters.nearly_repeated`.
        batch: Samples at a time.

    Raises:
        ConfigError: an impossible value.
    """

    budget: int = 1000
    repetition: float | None = 0.9
    measure: str = "edit"
    batch: int = 64

    def __post_init__(self) -> None:
        if self.budget < 1 or self.batch < 1:
            raise ConfigError(f"replay: budget {self.budget} and batch {self.batch} must be at least 1")
        if self.repetition is not None and not 0 < self.repetition <= 1:
            raise ConfigError(f"replay: repetition is {self.repetition}; it must be above 0 and at most 1, or null")
        if self.measure not in MEASURES:
            raise ConfigError(f"replay: measure is '{self.measure}'; there are {' and '.join(MEASURES)}")


def draw_replay(
    replay: Replay,
    teacher: Teacher,
    prior: Prior | None,
    context: Any,
    draw: Draw,
    *,
    owner: str,
    release: str,
    experts: Collection[str],
    seed: int,
    templates: Any = None,
) -> ReplaySet:
    """A replay set of one owner's domain.

    The owner's cap (:attr:`Prior.most`) counts for each draw: the budget is cut to it, and the provenance says so.

    Args:
        replay: The generator.
        teacher: The frozen release.
        prior: The owner's; ``None`` where it was refused. One that tells nothing is not shown to the generator.
        context: What is public of the owner's domain.
        draw: How much, and which repetitions go.
        owner: Whose domain.
        release: The teacher's digest.
        experts: Owners whose experts answer in the teacher.
        seed: Of the draw.
        templates: What the samples are aligned to, where the generator needs that.

    Raises:
        ConfigError: options that do not go together.
        PackageError: a prior of another generator or of other data.
    """
    most = 0 if prior is None else prior.most
    budget = min(draw.budget, most) if most else draw.budget
    told = prior if prior is not None and prior.tensors else None
    samples = replay.generate(teacher, told, context, budget=budget, seed=seed, templates=templates, batch=draw.batch)
    # The fields of a generator, which is a dataclass as every plug-in with options.
    options = dataclasses.asdict(replay)  # type: ignore[call-overload]
    provenance = Provenance(
        owner=owner,
        teacher=release,
        experts=tuple(sorted(experts)),
        generator=replay.name,
        options=options,
        seed=seed,
        prior=None if prior is None else prior.digest,
        budget=budget,
        most=most,
    )
    found = ReplaySet(provenance=provenance, samples=samples)
    tokens = [replay.tokens(sample) for sample in samples]
    if draw.repetition is None:
        return found.without(repeated(tokens), "repeated")
    return found.without(nearly_repeated(tokens, draw.repetition, measure=draw.measure), "repeated")


def without_memorised(found: ReplaySet, replay: Replay, private: Any, threshold: Memorised) -> ReplaySet:
    """The set as its owner lets it go: without what is too near its data, and without the seed.

    To be run by the owner on a set that it drew itself with a seed that nobody else knows; with the seed of a set that
    others hold too, they could see which samples are missing.
    """
    near = too_near([replay.tokens(sample) for sample in found.samples], replay.private_tokens(private), threshold)
    kept = found.without(near, "memorised")
    return dataclasses.replace(kept, provenance=dataclasses.replace(kept.provenance, seed=None))
