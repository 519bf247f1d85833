import math
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from atoll.coordinator.report.figures import draw
from atoll.coordinator.results import RunResults, SiloResult, Transfer


def size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG file, read from its header; its last chunk must be there too."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert b"IEND" in data[-12:]
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_all_four_are_drawn_in_order(results: RunResults, tmp_path: Path) -> None:
    paths = draw(results, tmp_path / "new" / "figures")
    assert names(paths) == ["gains.png", "losses.png", "routing.png", "traffic.png"]
    for path in paths:
        width, height = size(path)
        assert 1200 <= width <= 2400
        assert 400 <= height <= 2400


def test_pictures_show_what_was_measured(results: RunResults, tmp_path: Path) -> None:
    before = [path.read_bytes() for path in draw(results, tmp_path / "before")]
    again = [path.read_bytes() for path in draw(results, tmp_path / "again")]
    assert before == again
    losses = {silo: {**found, "mixture": found["anchor"] + 0.1} for silo, found in results.losses.items()}
    routing = {silo: dict.fromkeys(shares, 0.2) for silo, shares in results.routing.items()}
    transfers = [replace(transfer, bytes=transfer.bytes * 3) for transfer in results.transfers]
    changed = replace(results, losses=losses, routing=routing, transfers=transfers)
    after = [path.read_bytes() for path in draw(changed, tmp_path / "after")]
    assert all(old != new for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("routing", [{}, {"hospital": {}, "library": {}}])
def test_without_routing_there_is_no_picture_of_it(
    results: RunResults, tmp_path: Path, routing: dict[str, dict[str, float]]
) -> None:
    paths = draw(replace(results, routing=routing), tmp_path)
    assert names(paths) == ["gains.png", "losses.png", "traffic.png"]
    assert not (tmp_path / "routing.png").exists()


def test_nothing_measured_and_nothing_sent_draws_nothing(results: RunResults, tmp_path: Path) -> None:
    assert draw(replace(results, losses={}, routing={}, transfers=[]), tmp_path) == []


def test_a_failed_silo_and_figures_that_are_missing_or_no_numbers(results: RunResults, tmp_path: Path) -> None:
    losses = {silo: dict(found) for silo, found in results.losses.items()}
    del losses["library"], losses["hospital"]["soup"]
    losses["law-firm"] |= {"mixture": math.nan, "ensemble": math.inf, "ensemble, posterior": 2.0}
    routing = {"hospital": {"anchor": 0.4, "hospital": 0.6}, "law-firm": {"anchor": math.nan}}
    transfers = [transfer for transfer in results.transfers if transfer.silo != "library"]
    paths = draw(replace(results, losses=losses, routing=routing, transfers=transfers), tmp_path)
    assert [min(size(path)) > 100 for path in paths] == [True] * 4


@pytest.mark.parametrize("loss", [2.0, 0.0, math.nan])
def test_the_same_loss_everywhere(results: RunResults, tmp_path: Path, loss: float) -> None:
    losses = {silo: dict.fromkeys(found, loss) for silo, found in results.losses.items()}
    paths = draw(replace(results, losses=losses, routing={}, transfers=[]), tmp_path)
    assert names(paths) == ["gains.png", "losses.png"]


def test_names_are_drawn_as_they_are(results: RunResults, tmp_path: Path) -> None:
    # A dollar sign would begin mathematics, and the font lacks some of these letters.
    odd = ["$\\frac{$", "病院 🏥", "_hidden", "x" * 300, "two\nlines", "%s {0}"]
    silos = [SiloResult(name=name, domain="", documents=1, tokens=1, characters=1) for name in odd]
    losses = {
        name: results.losses["hospital"] | {"$^{": 2.0} | {f"without {name}": 2.0 for name in odd} for name in odd
    }
    routing = {name: {"anchor": 0.5, name: 0.5} for name in odd}
    transfers = [Transfer(silo=name, direction="out", what=name, bytes=5) for name in odd]
    paths = draw(replace(results, silos=silos, losses=losses, routing=routing, transfers=transfers), tmp_path)
    assert len(paths) == 4
    for path in paths:
        assert max(size(path)) <= 3200


def test_many_silos_get_a_larger_picture(results: RunResults, tmp_path: Path) -> None:
    silos = [SiloResult(name=f"s{n}", domain="", documents=1, tokens=1, characters=1) for n in range(12)]
    losses = {silo.name: {"anchor": 3.0, **{f"without {other.name}": 2.0 for other in silos}} for silo in silos}
    _, many = draw(replace(results, silos=silos, losses=losses, routing={}, transfers=[]), tmp_path / "many")
    _, few = draw(replace(results, routing={}, transfers=[]), tmp_path / "few")
    assert all(ours > theirs for ours, theirs in zip(size(many), size(few), strict=True))


def test_pyplot_stays_out() -> None:
    code = (
        "import sys; from atoll.coordinator.report import figures, page, terminal\n"
        "assert 'matplotlib' not in sys.modules\n"
        "figure, axes = figures._figure(2)\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
