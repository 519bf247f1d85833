"""A stream as an Avalanche benchmark, so that any of its strategies can learn from it."""

from typing import Any

import torch
from torch.utils.data import TensorDataset

from atoll.benchmarks.avalanche.contexts import ContextStream, Part, Samples
from atoll.benchmarks.avalanche.importing import avalanche


def as_benchmark(stream: ContextStream, test: Part = "test") -> Any:
    """A benchmark with the streams ``train`` and ``test``: one experience a context.

    Experiences have classes timelines and task labels: the context's place where it is told, and 0 otherwise.

    Args:
        stream: What to export; nothing is copied but into tensors.
        test: What goes into the stream ``test``: ``validation`` for tuning.

    Returns:
        An ``avalanche.benchmarks.CLScenario``.
    """
    avalanche()
    from avalanche.benchmarks import benchmark_from_datasets, with_classes_timeline, with_task_labels

    def datasets(part: Part) -> list[Any]:
        return [
            as_dataset(context.part(part), place if stream.scenario == "task" else 0)
            for place, context in enumerate(stream.contexts)
        ]

    made = benchmark_from_datasets(train=datasets("train"), test=datasets(test))
    return with_task_labels(with_classes_timeline(made))


def as_dataset(samples: Samples, task: int) -> Any:
    """Samples as an ``AvalancheDataset`` of (input, label, task label).

    Args:
        samples: The samples.
        task: The task label of all of them.
    """
    avalanche()
    from avalanche.benchmarks.utils.classification_dataset import TaskAwareSupervisedClassificationDataset
    from avalanche.benchmarks.utils.data_attribute import DataAttribute
    from avalanche.benchmarks.utils.flat_data import ConstantSequence

    inputs, labels = samples.tensors()
    return TaskAwareSupervisedClassificationDataset(
        [TensorDataset(inputs, labels)],
        data_attributes=[
            # Plain integers: of tensors each is a class of its own.
            DataAttribute(labels.tolist(), "targets"),
            DataAttribute(ConstantSequence(task, len(samples)), "targets_task_labels", use_in_getitem=True),
        ],
        collate_fn=_collate,
    )


def chunks(experiences: Any, size: int, seed: int) -> Any:
    """An online stream: every experience in shuffled chunks of ``size``, each to be seen once.

    Boundaries between contexts are told, as Avalanche's heads and buffers may want them.

    Args:
        experiences: Of a benchmark's stream, or one of them in a list.
        size: Samples in a chunk; the last of a context may have fewer.
        seed: Of the order within a context.
    """
    avalanche()
    from avalanche.benchmarks.scenarios.online import split_online_stream

    return split_online_stream(experiences, experience_size=size, access_task_boundaries=True, seed=seed)


def _collate(batch: list[tuple[torch.Tensor, torch.Tensor, int]]) -> list[torch.Tensor]:
    inputs, labels, tasks = zip(*batch, strict=True)
    return [torch.stack(inputs), torch.stack(labels), torch.tensor(tasks)]
