"""Methods of a split stream that are no strategies of Avalanche's: generative replay, and the nearest class mean."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from atoll.benchmarks.avalanche.run import Run
from atoll.benchmarks.split.measure import Predict, accuracies
from atoll.benchmarks.split.networks import Autoencoder
from atoll.benchmarks.split.scholar import Scholar, learn
from atoll.continual import StreamMatrix
from atoll.replay import Distillation

Tell = Callable[[int, int, str], None]


def generative_replay(
    solver: nn.Module, generator: Autoencoder, run: Run, distillation: Distillation | None, tell: Tell
) -> StreamMatrix:
    """Deep generative replay over a stream.

    Args:
        solver: Samples to logits, with initial weights; trained in place.
        generator: Trained in place.
        run: The stream, and the budget of either network.
        distillation: Of the earlier solver's predictions; ``None`` for its hard labels.
        tell: Told of every context.
    """
    torch.manual_seed(run.seed)
    scholar = Scholar(solver=solver.to(run.device), generator=generator.to(run.device))
    optimizers = (run.budget.make(solver.parameters()), run.budget.make(generator.parameters()))

    def arrive(stage: int) -> Predict:
        learn(scholar, optimizers, run.stream, stage, run.budget, distillation, seed=100 * run.seed + stage)
        return solver

    return over_contexts(solver, arrive, run, tell)


def class_means(run: Run, tell: Tell) -> StreamMatrix:
    """The nearest mean of a class's samples, by Euclidean distance: nothing is trained, and a mean a class is kept.

    In a domain-incremental stream a class has a mean of every context, and the nearest of all decides.
    """
    kept: list[tuple[int, Tensor]] = []

    def predict(x: Tensor) -> Tensor:
        scores_BC = torch.full((len(x), run.stream.classes), float("-inf"), device=x.device)
        for label, mean in kept:
            nearness_B = -(x.flatten(1) - mean).square().sum(1)
            scores_BC[:, label] = torch.maximum(scores_BC[:, label], nearness_B)
        return scores_BC

    def arrive(stage: int) -> Predict:
        context = run.stream.contexts[stage - 1]
        x, label_N = context.train.tensors(run.device)
        kept.extend((label, x[label_N == label].flatten(1).mean(0)) for label in context.classes)
        return predict

    return over_contexts(predict, arrive, run, tell)


def over_contexts(before: Predict, arrive: Callable[[int], Predict], run: Run, tell: Tell) -> StreamMatrix:
    """The accuracy ``R[stage, context]`` of what ``arrive`` makes of every stage, and of what was there before."""
    names = run.stream.names
    matrix = StreamMatrix.blank("accuracy", [[name] for name in names], higher_is_better=True)
    matrix = matrix.measured(0, accuracies(before, run.stream, run.test, run.device))
    for stage, name in enumerate(names, 1):
        found = accuracies(arrive(stage), run.stream, run.test, run.device)
        matrix = matrix.measured(stage, found)
        tell(stage, len(names), name)
    return matrix
