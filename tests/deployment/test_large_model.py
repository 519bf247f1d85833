"""An expert of 1 GiB goes through in pieces, goes on where it was cut off, and is sent nowhere twice."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import yaml
from tests.deployment.federation import TRAIN, Federation, atoll, processes, wait

from atoll.anchors import Anchor
from atoll.config import read_config
from atoll.coordinator.server.calls import TrainSettings
from atoll.experts.card import Consent, ExpertCard
from atoll.experts.package import write_package
from atoll.experts.signing import OwnerKey
from atoll.federation.blobs import BlobStore
from atoll.federation.talk import DONE, Work, WorkReply
from atoll.federation.units import TrainReply
from atoll.testing.experts import toy_descriptor

WIDE = {"hidden_size": 2048, "intermediate_size": 8192, "layers": 6}
TARGETS = tuple(f"model.layers.{layer}.mlp" for layer in range(6))
_ALLOWED = 700 << 20
"""Bytes of memory of its own that a process may hold at most: far less than the expert."""


@pytest.mark.suite
@pytest.mark.timeout(2700)
def test_an_expert_of_one_gibibyte(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    fed = Federation(tmp_path, ["clinic"])
    try:
        fed.large(WIDE)
        blob = plant_expert(fed, "clinic")
        size = (fed.node("clinic") / "outgoing" / blob.removeprefix("sha256:")).stat().st_size
        assert size > 1 << 30
        partial = fed.folder / "packages" / f".incoming-{blob.removeprefix('sha256:')}"
        atoll("coordinator", "call", "train", fed.folder, *TRAIN)
        with memory(str(tmp_path)) as held:
            began = time.monotonic()
            fed.start("coordinator", "clinic")
            wait("a third of it", lambda: partial.exists() and partial.stat().st_size > size / 3, 900)
            fed.programs["clinic"].kill()
            time.sleep(1)
            there = partial.stat().st_size
            fed.start("clinic")
            seen = [there]

            def arrived() -> bool:
                if partial.exists():
                    seen.append(partial.stat().st_size)
                return bool(fed.state().experts)

            wait("the expert", arrived, 1500)
            record_property("seconds", round(time.monotonic() - began))
            assert seen == sorted(seen), "it was begun anew"
        for name, most in sorted(held.items()):
            print(f"{name}: at most {most / 2**20:.0f} MiB of its own")
            record_property(name, most)
            assert most < _ALLOWED, name
        assert fed.state().bytes_from == {"clinic": size}
    finally:
        fed.stop()


@pytest.mark.suite
@pytest.mark.timeout(600)
def test_a_second_mixture_sends_only_what_is_new(make: Callable[..., Federation]) -> None:
    fed = make()
    fed.start("coordinator", "clinic", "court")
    fed.train()
    fed.call("evaluate", "--windows", "2")
    sent = dict(fed.state().bytes_to)
    sizes = {
        expert.accepted.owner: (fed.folder / "packages" / expert.accepted.blob[7:]).stat().st_size
        for expert in fed.state().experts.values()
    }
    assert sent == dict.fromkeys(("clinic", "court"), sum(sizes.values()))
    said = fed.call("evaluate", "--windows", "4")
    assert "2 of 2 owners" in said
    assert fed.state().bytes_to == sent


def plant_expert(fed: Federation, owner: str) -> str:
    """Give a node an expert as if it had trained it: training one of this size takes longer than a test may."""
    node, anchor = fed.node(owner), Anchor.open(fed.root / "anchor")
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for target in TARGETS:
        for name, shape in (("gate_proj", (8192, 2048)), ("up_proj", (8192, 2048)), ("down_proj", (2048, 8192))):
            weights[f"{target}.{name}.weight"] = torch.rand(shape, generator=generator)
    counts = {"train": 200, "validation": 20, "test": 20}
    card = ExpertCard(
        owner=owner,
        domain="large",
        anchor=anchor.digest,
        kind="ffn",
        sites=TARGETS,
        targets=TARGETS,
        settings={"coordinated": False},
        workload="text",
        documents=counts,
        tokens=counts,
        training={},
        metrics={},
        privacy=None,
        licence="CC0-1.0",
        consent=Consent(purposes=("any",), until=None, statement=""),
    )
    file = fed.root / "large.atoll"
    key = OwnerKey.load(node / "owner.key")
    digest = write_package(file, card=card, weights=weights, descriptor=toy_descriptor(anchor, TARGETS, owner), key=key)
    (node / "outgoing").mkdir()
    blob = BlobStore(node / "outgoing").adopt(file)
    file.unlink()
    unit = read_config(TrainSettings, None, TRAIN).unit(anchor.digest)
    folder = node / "works" / unit.address
    folder.mkdir(parents=True)
    size = BlobStore(node / "outgoing").path(blob).stat().st_size
    said = TrainReply(digest=digest, blob=blob, metrics={})
    folder.joinpath("work.json").write_text(Work(work="train", unit=unit.address, what=unit.to_json()).to_json())
    folder.joinpath("reply.json").write_text(WorkReply(state=DONE, result=said.to_json(), blobs={blob: size}).to_json())
    (fed.root / "sizes.yaml").write_text(yaml.safe_dump({blob: size}))
    return blob


@contextmanager
def memory(text: str) -> Iterator[dict[str, int]]:
    """The most anonymous memory that each kind of process held whose command line has this text."""
    held: dict[str, int] = defaultdict(int)
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            for pid in processes(text):
                try:
                    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
                    command = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
                except OSError:
                    continue
                lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
                kinds = ("superlink", "supernode", "coordinator\0up", "node\0up")
                kind = next((each for each in kinds if each in command), "other")
                if "RssAnon" in lines and kind != "other":
                    name = kind.replace("\0", " ")
                    held[name] = max(held[name], int(lines["RssAnon"].split()[0]) << 10)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield held
    finally:
        done.set()
        thread.join()
