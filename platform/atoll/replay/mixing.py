"""How much real data weighs beside replay."""

from torch import Tensor

from atoll.errors import ConfigError


def mix_weights(stage: int) -> tuple[float, float]:
    """Weights of real data and of replay at a stage, counted from 1: (1/t, 1 - 1/t).

    So every silo seen so far weighs the same (van de Ven, Siegelmann and Tolias 2020, "Brain-inspired replay for
    continual learning with artificial neural networks", doi 10.1038/s41467-020-17866-2; the ratio r of Shin, Lee, Kim
    and Kim 2017, "Continual learning with deep generative replay", arXiv 1705.08690).

    Raises:
        ConfigError: a stage below 1.
    """
    if stage < 1:
        raise ConfigError(f"replay: stage {stage}; they are counted from 1")
    return 1 / stage, 1 - 1 / stage


def replay_loss(real: Tensor, replayed: Tensor, stage: int) -> Tensor:
    """Loss on real data and loss on replay, mixed for a stage.

    Raises:
        ConfigError: a stage below 1.
    """
    of_real, of_replay = mix_weights(stage)
    # At the first stage there is nothing to replay, whatever stands in its place.
    return of_real * real + of_replay * replayed if of_replay else real
