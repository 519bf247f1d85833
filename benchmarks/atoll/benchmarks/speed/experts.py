"""Tokens per second of one layer with many experts: ``python -m atoll.benchmarks.speed.experts --help``.

Two comparisons, each on the same weights, tokens and routing, checked to give the same output and gradient before
anything is timed: LoRA experts against PEFT's Arrow (routing, module and experts), and feed-forward experts against
transformers' kernels (experts alone). The contenders run in turns; a ratio is the median of the ratios within a round.
"""

import argparse
import json
import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.table import Table

from atoll.benchmarks.speed.block_layers import GROUPED, block_contenders
from atoll.benchmarks.speed.lora_layers import ARROW, lora_contenders
from atoll.benchmarks.speed.paired import Contender, check_equal, ratio, times

BASELINES = {"lora": ARROW, "ffn": GROUPED}


@dataclass(frozen=True, slots=True)
class Settings:
    """What is run; sizes are those of one layer."""

    experts: tuple[int, ...] = (8, 32, 128)
    tokens: int = 2048
    width: int = 256
    rank: int = 8
    hidden: int = 512
    chosen: int = 2
    repeats: int = 7
    device: str = "cpu"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One contender's result; times are how many times as fast as the kind's baseline."""

    kind: str
    experts: int
    contender: str
    forward_tokens_per_second: float
    forward_times_baseline: float
    training_tokens_per_second: float
    training_times_baseline: float


def main() -> None:
    """Run, print the tables, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = Settings()
    parser.add_argument("--experts", type=int, nargs="+", default=list(defaults.experts))
    for name in ("tokens", "width", "rank", "hidden", "chosen", "repeats", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(defaults, name))
    parser.add_argument("--device", default=defaults.device)
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    args = vars(parser.parse_args())
    out: Path | None = args.pop("out")
    settings = Settings(**{**args, "experts": tuple(args["experts"])})

    rows, left_out = run(settings)
    console = Console()
    for kind in BASELINES:
        console.print(table(rows, kind))
    for sentence in left_out:
        console.print(f"Left out: {sentence}")
    if out is not None:
        out.write_text(json.dumps(report(settings, rows, left_out), indent=2) + "\n")


def run(settings: Settings) -> tuple[list[Row], list[str]]:
    """Check and time both kinds at every number of experts.

    Returns:
        The results, and a sentence on each contender that was left out.

    Raises:
        MixtureError: two contenders do not compute the same.
    """
    torch.manual_seed(settings.seed)
    device = torch.device(settings.device)
    x_TD = torch.randn(settings.tokens, settings.width, device=device)
    rows: list[Row] = []
    left_out: list[str] = []
    for experts in settings.experts:
        sizes = {"experts": experts, "tokens": settings.tokens, "width": settings.width, "chosen": settings.chosen}
        lora = lora_contenders(**sizes, rank=settings.rank, device=device)
        rows += _compare("lora", experts, lora, x_TD, settings.repeats)
        blocks, skipped = block_contenders(**sizes, hidden=settings.hidden, device=device)
        rows += _compare("ffn", experts, blocks, x_TD, settings.repeats)
        left_out += skipped
    return rows, left_out


def _compare(kind: str, experts: int, contenders: list[Contender], x_TD: torch.Tensor, repeats: int) -> list[Row]:
    check_equal(contenders, x_TD)
    infer, train = times(contenders, x_TD, repeats)
    baseline = BASELINES[kind]
    return [
        Row(
            kind=kind,
            experts=experts,
            contender=name,
            forward_tokens_per_second=len(x_TD) / median(infer[name]),
            forward_times_baseline=ratio(infer, name, baseline),
            training_tokens_per_second=len(x_TD) / median(train[name]),
            training_times_baseline=ratio(train, name, baseline),
        )
        for name in infer
    ]


def table(rows: list[Row], kind: str) -> Table:
    """The results of one kind."""
    view = Table(title=f"{kind} experts: tokens per second, and times {BASELINES[kind]}")
    view.add_column("experts", justify="right")
    view.add_column("contender")
    for column in ("forward", "times", "with gradients", "times"):
        view.add_column(column, justify="right")
    previous = None
    for row in (row for row in rows if row.kind == kind):
        if previous not in (None, row.experts):
            view.add_section()
        previous = row.experts
        view.add_row(
            str(row.experts),
            row.contender,
            f"{row.forward_tokens_per_second:,.0f}",
            f"{row.forward_times_baseline:.2f}",
            f"{row.training_tokens_per_second:,.0f}",
            f"{row.training_times_baseline:.2f}",
        )
    return view


def report(settings: Settings, rows: list[Row], left_out: list[str]) -> dict[str, object]:
    """Everything that one needs to judge the numbers."""
    return {
        "settings": asdict(settings),
        "versions": {name: version(name) for name in ("atoll", "torch", "peft", "transformers")},
        "hardware": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "load": os.getloadavg()[0],
            "gpu": torch.cuda.get_device_name() if settings.device.startswith("cuda") else None,
        },
        "rows": [asdict(row) for row in rows],
        "left_out": left_out,
    }


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    lines = described.read_text(encoding="utf-8").splitlines() if described.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
