"""How the same expert is trained: as usual, by heart, privately, and not at all."""

from dataclasses import dataclass, field, replace

from atoll.experts.privacy_config import PrivacyConfig
from atoll.experts.training import ExpertConfig, TrainingConfig
from atoll.federation.units import Choice, TrainUnit

EXPERT = ExpertConfig(kind="ffn")


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to train.

    Attributes:
        train: Share of the documents that is trained on.
        training: The optimization.
        privacy: Of it.
        control: Whether it must be caught, and so must keep its last weights.
    """

    train: float
    training: TrainingConfig
    privacy: PrivacyConfig = field(default_factory=PrivacyConfig)
    control: bool = False

    def unit(self, anchor: str, replay: Choice, seed: int) -> TrainUnit:
        """The work, for an anchor's digest."""
        return TrainUnit(
            anchor=anchor,
            expert=EXPERT,
            training=self.training,
            router=Choice(name="top-k"),
            embedder="anchor-states",
            descriptor_documents=50,
            descriptor_counted=50,
            seed=seed,
            privacy=self.privacy,
            replay=replay,
        )


def arms(steps: int, by_heart: int, epsilon: float) -> dict[str, Arm]:
    """The arms by name; the negative control is first.

    Args:
        steps: Of the usual training, as the demo's.
        by_heart: Steps of the training that must be caught, on few documents and without looking at the others.
        epsilon: Of the private one.
    """
    usual = TrainingConfig(steps=steps, learning_rate=8e-3, evaluate_every=max(1, steps // 3), validation_windows=16)
    return {
        "untrained": Arm(train=0.45, training=replace(usual, steps=1, learning_rate=1e-9)),
        "usual": Arm(train=0.45, training=usual),
        "by heart": Arm(
            train=0.05,
            training=replace(usual, steps=by_heart, evaluate_every=by_heart, patience=0),
            control=True,
        ),
        f"private, ε = {epsilon:g}": Arm(
            train=0.45,
            training=replace(usual, batch=32, steps=max(1, steps // 3)),
            privacy=PrivacyConfig(epsilon=epsilon),
        ),
    }
