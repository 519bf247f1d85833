"""What owners measured stands beside a release, and is no part of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from atoll.coordinator.audits import audit_beside, read_audits, write_audits
from atoll.coordinator.report.privacy import privacy_grid
from atoll.errors import MixtureError, PackageError
from atoll.experts.card import ExpertCard
from atoll.privacy.extraction import ExtractionReport
from atoll.privacy.membership import membership_report
from atoll.privacy.uniqueness import Overlap, UniquenessReport
from atoll.releases.folder import expert_file
from atoll.releases.opening import OpenRelease, open_release, read_release

FIGURES = {"membership_loss_auc": 0.61, "membership_loss_auc_low": 0.55, "membership_loss_auc_high": 0.67}
Make = Callable[..., OpenRelease]


def test_cards_stand_beside_the_release_and_change_nothing_of_it(make: Make, tmp_path: Path) -> None:
    before, folder = make().release.digest, tmp_path / "release"
    assert read_audits(folder) == {}
    write_audits(folder, {"clinic": FIGURES, "office": {}, "library": {"extraction_rate": 0.0}})
    assert read_audits(folder) == {"clinic": FIGURES, "library": {"extraction_rate": 0.0}}
    assert read_release(folder).digest == before
    opened = open_release(folder)
    card = ExpertCard.from_yaml((folder / "cards" / "clinic.yaml").read_bytes())
    assert card.audit == FIGURES
    signed = next(expert.card for expert in opened.experts if expert.card.owner == "clinic")
    assert signed.audit == {}
    assert signed.domain == card.domain


def test_measuring_again_replaces_what_was_found(make: Make, tmp_path: Path) -> None:
    make()
    write_audits(tmp_path / "release", {"clinic": FIGURES})
    write_audits(tmp_path / "release", {"clinic": {"extraction_rate": 0.5}})
    assert read_audits(tmp_path / "release") == {"clinic": {"extraction_rate": 0.5}}


def test_a_package_in_a_release_has_its_audit_beside_it(make: Make, tmp_path: Path) -> None:
    make()
    folder = tmp_path / "release"
    write_audits(folder, {"clinic": FIGURES})
    assert audit_beside(expert_file(folder, "clinic"), "clinic") == FIGURES
    assert audit_beside(expert_file(folder, "office"), "office") == {}
    assert audit_beside(tmp_path / "clinic.atoll", "clinic") == {}


def test_strangers_measure_nothing_here(make: Make, tmp_path: Path) -> None:
    make()
    with pytest.raises(MixtureError, match="no expert in it"):
        write_audits(tmp_path / "release", {"embassy": FIGURES})
    with pytest.raises(PackageError, match=r"audit\.x"):
        write_audits(tmp_path / "release", {"clinic": {"x": float("nan")}})


@pytest.mark.parametrize("content", [b"", b"owner: clinic\n", b"\xff", b"- a\n"])
def test_a_damaged_card_is_named(make: Make, tmp_path: Path, content: bytes) -> None:
    make()
    write_audits(tmp_path / "release", {"clinic": FIGURES})
    card = tmp_path / "release" / "cards" / "clinic.yaml"
    kept = card.read_bytes()
    card.write_bytes(content)
    with pytest.raises(PackageError, match=r"clinic\.yaml"):
        read_audits(tmp_path / "release")
    card.unlink()
    card.with_name("office.yaml").write_bytes(kept)
    with pytest.raises(PackageError, match="card of 'clinic'"):
        read_audits(tmp_path / "release")


def test_the_panel_shows_what_is_measured_by_those_who_did() -> None:
    grid = privacy_grid({"office": {"extraction_rate": 0.25}, "clinic": FIGURES})
    assert grid.columns == ["measured", "clinic", "office"]
    assert grid.rows == [
        ["membership by loss, AUC", "0.610 [0.550, 0.670]", "–"],
        ["training documents given back", "–", "25.0%"],
    ]


def test_every_measurement_has_its_rows_in_the_panel() -> None:
    """By the names that the measurements themselves give: a renamed figure must not vanish from the panel."""
    attacks = {"loss", "calibrated", "replay"}
    found: dict[str, float] = {}
    for attack in attacks:
        found |= membership_report(attack, np.array([0.0, 1.0]), np.array([0.0, 0.5])).figures()
    report = ExtractionReport(prefixes=9, too_short=0, rate=0.1, low=0.0, high=0.5, extracted=(3,))
    found |= {**report.figures(), **report.figures("extraction_held_out"), **report.figures("extraction_replay")}
    overlap = Overlap(
        trajectories=9, unique=0.1, unique_low=0, unique_high=0.2, matched=0.3, matched_low=0.2, matched_high=0.4,
        run_mean=2.0, run_longest=5,
    )  # fmt: skip
    found |= UniquenessReport(points=4, generated=overlap, baseline=overlap).figures()
    rows = privacy_grid({"clinic": found}).rows
    assert len(rows) == 4 * len(attacks) + 3 + 6
    assert sum("[" in cell for _, cell in rows) == 2 * len(attacks) + 3 + 4
