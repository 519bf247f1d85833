"""Peak memory of one step, in a fresh process that does nothing else."""

import ctypes
import gc
import json
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from atoll.benchmarks.speed.case import Case
from atoll.benchmarks.speed.contenders import alone
from atoll.errors import MixtureError

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes, of resident memory; on a GPU what torch had allocated there.

    Attributes:
        peak: The most, of the whole process.
        held: By the model when it is ready, over what the process had before it was built.
        step: The most during two steps, over the same.
    """

    peak: int
    held: int
    step: int


def memory_of(case: Case, method: str, threads: int) -> Memory:
    """Build a method and take two steps, in a process of its own.

    Raises:
        MixtureError: that process failed; says how.
    """
    told = json.dumps({"case": asdict(case), "method": method, "threads": threads})
    command = [sys.executable, "-m", "atoll.benchmarks.speed.peak"]
    done = subprocess.run(command, input=told, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        last = lines[-1] if lines else f"exit status {done.returncode}, a signal"
        raise MixtureError(f"memory of {method}: its process failed: {last}")
    return Memory(**json.loads(done.stdout.splitlines()[-1]))


def measure(case: Case, method: str) -> Memory:
    """Of this process, which should be fresh."""
    on_gpu = case.device.startswith("cuda")
    small = replace(case, anchor="olmo2", layers=1, width=8, hidden=8, heads=1, experts=1, batch=1, length=2)
    alone(small, method, small.tokens(small.model())).step(small.tokens(small.model()))  # imports what it needs
    ids_BS = case.tokens(case.model())
    give_back()
    before = 0 if on_gpu else resident()
    runner = alone(case, method, ids_BS)
    give_back()
    held = torch.cuda.memory_allocated() if on_gpu else resident()
    built = highest()
    forget_highest()
    for _ in range(2):
        runner.step(ids_BS)
    step = torch.cuda.max_memory_allocated() if on_gpu else highest()
    return Memory(peak=step if on_gpu else max(built, highest()), held=held - before, step=step - before)


def give_back() -> None:
    """Collect garbage (modules refer to themselves), and let the C library return what is free: it keeps some."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl does not
        if trim is not None:
            trim(0)


def resident() -> int:
    """Bytes of resident memory now; where there is no ``/proc``, the most so far."""
    return _field("VmRSS")


def highest() -> int:
    """The most so far, or since :func:`forget_highest`."""
    return _field("VmHWM")


def forget_highest() -> None:
    """Count the highest from now on, where the system can."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    if _CLEAR.exists():
        _CLEAR.write_text("5", encoding="utf-8")


def _field(name: str) -> int:
    # Not getrusage where it can be helped: a process that another started inherits that one's maximum there.
    if _STATUS.exists():
        for line in _STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main() -> None:
    """Read a case from standard input, write what it takes to standard output."""
    told = json.loads(sys.stdin.read())
    torch.set_num_threads(told["threads"])
    print(json.dumps(asdict(measure(Case(**told["case"]), told["method"]))))


if __name__ == "__main__":
    main()
