"""Which samples come when: a function of the data's size and the arguments alone, for workloads of single samples."""

from atoll.errors import ConfigError
from atoll.workloads.text.order import shuffled


def batch_indices(step: int, size: int, seed: int, count: int) -> list[int]:
    """Which of ``count`` training samples make up the batch of one step.

    It depends on nothing but the arguments, so a run goes on after a kill with what would have come. Every epoch takes
    each sample once, in an order of its own; a batch may reach over the end of an epoch.

    Raises:
        ConfigError: a negative step, or a batch or data without anything in it.
    """
    _at_least(0, step=step)
    _at_least(1, size=size, count=count)
    places = (divmod(number, count) for number in range(step * size, (step + 1) * size))
    return [shuffled(place, count, seed, epoch) for epoch, place in places]


def evaluation_indices(count: int, limit: int | None = None) -> list[int]:
    """All of ``count`` samples in order, or ``limit`` evenly spaced ones.

    Raises:
        ConfigError: a limit of less than one.
    """
    _at_least(1, limit=1 if limit is None else limit)
    if limit is None or limit >= count:
        return list(range(count))
    return [number * count // limit for number in range(limit)]


def _at_least(least: int, **values: int) -> None:
    for name, value in values.items():
        if value < least:
            raise ConfigError(f"samples: {name}={value} must be at least {least}")
