"""Who may be in a mixture: owners that differ, none of whom takes the anchor's name, with one list of targets."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from atoll.errors import MixtureError
from atoll.experts.integrator import members
from atoll.mixture import ANCHOR, Mixture
from atoll.plugins import build
from atoll.testing import toy_anchor, toy_experts, toy_frame


def mixed(folder: Path, owners: Sequence[str], **changes: object) -> Mixture:
    anchor = toy_anchor(folder / "anchor")
    kind, made = members(toy_experts(anchor, ("archive", "clinic", "court"), "lora"))
    renamed = [replace(each, owner=owner) for each, owner in zip(made, owners, strict=True)]
    if changes:
        renamed[-1] = replace(renamed[-1], **changes)  # type: ignore[arg-type]
    frame = toy_frame(anchor, [site.path for site in kind.sites(made[0].targets)])
    return Mixture(anchor.model(), frame, kind, renamed, build("atoll.routers", "uniform", {}))


def test_names_of_slots_are_the_anchor_and_the_owners(tmp_path: Path) -> None:
    assert mixed(tmp_path, ("archive", "clinic", "court")).slots == (ANCHOR, "archive", "clinic", "court")


@pytest.mark.parametrize(
    "owners",
    [
        ("clinic", "clinic", "court"),
        ("archive", "court", "court"),
        ("court", "clinic", "court"),
        ("archive", ANCHOR, "c"),
    ],
)
def test_one_owner_twice_or_the_anchors_name_is_refused(tmp_path: Path, owners: tuple[str, ...]) -> None:
    with pytest.raises(MixtureError, match="owners must differ"):
        mixed(tmp_path, owners)


def test_members_that_change_other_modules_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MixtureError, match="expert of 'court' changes other modules"):
        mixed(tmp_path, ("archive", "clinic", "court"), targets=("model.layers.0.mlp",))


def test_an_entitlement_names_members(tmp_path: Path) -> None:
    model = mixed(tmp_path, ("archive", "clinic", "court"))
    assert model.allowed(None).tolist() == [True] * 4
    assert model.allowed([]).tolist() == [True, False, False, False]
    assert model.allowed(["court"]).tolist() == [True, False, False, True]
    with pytest.raises(MixtureError, match="not in this mixture: stranger; it has archive, clinic, court"):
        model.allowed(["clinic", "stranger"])
