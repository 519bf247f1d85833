"""A picture of which concept a stream is in, over time."""

from pathlib import Path

from atoll.benchmarks.online.concepts import shares
from atoll.benchmarks.online.streams import Stream
from atoll.coordinator.stream.drawing import legend, lines, new_figure, quiet, save


def draw_timeline(stream: Stream, path: Path) -> Path:
    """The probability of every concept at every sample, as lines; the stream must have drifts."""
    shares_NC = shares(stream.drifts, len(stream.samples))
    names = [f"concept {n + 1}" for n in range(shares_NC.shape[1])]
    figure = new_figure(2.8)
    axes = figure.subplots()
    for (name, line), share in zip(lines(names).items(), shares_NC.T, strict=True):
        axes.plot(share, label=name, color=line.colour, linestyle=line.style)
    axes.set_xlabel("samples")
    axes.set_ylabel("share of samples")
    quiet(axes)
    legend(figure, names)
    return save(figure, path)
