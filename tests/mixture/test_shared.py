"""The shared part of a release: what it says of itself survives, and nothing else is taken for one."""

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from atoll.errors import PackageError
from atoll.mixture.shared import Fit, Shared

NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N"), include_characters="._-"), min_size=1, max_size=9)


def part(values: float = 1.0) -> Shared:
    rows = {
        site: {slot: {"row": torch.full((3,), values), "bias": torch.zeros(())} for slot in ("anchor", "clinic")}
        for site in ("model.layers.0.mlp", "model.layers.1.mlp")
    }
    fits = (
        Fit(release=1, teacher="sha256:aa", replay="movegcl", samples={"clinic": 5}),
        Fit(release=2, teacher="sha256:bb", replay="movegcl", samples={"clinic": 5, "court": 7}),
    )
    return Shared(router="mobility", rows=rows, fits=fits)


def test_it_comes_back_as_it_was() -> None:
    there = part()
    back = Shared.from_bytes(there.to_bytes())
    assert (back.router, back.fits) == (there.router, there.fits)
    assert back.to_bytes() == there.to_bytes()
    assert torch.equal(back.rows["model.layers.1.mlp"]["clinic"]["row"], torch.ones(3))


def test_a_fitting_that_was_stopped_comes_back_and_others_are_written_as_ever() -> None:
    there = part()
    stopped = replace(there, fits=(there.fits[0], replace(there.fits[1], stopped=30)))
    assert Shared.from_bytes(stopped.to_bytes()).fits == stopped.fits
    data = there.to_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["atoll"]
    assert [len(entry) for entry in json.loads(header)["fits"]] == [4, 4]


def test_it_says_for_which_releases_an_owners_samples_were_used() -> None:
    assert part().seen("clinic") == (1, 2)
    assert part().seen("court") == (2,)
    assert part().seen("library") == ()


@given(st.dictionaries(NAMES, st.dictionaries(NAMES, NAMES, min_size=1, max_size=3), max_size=3))
def test_any_names_come_back(names: dict[str, dict[str, str]]) -> None:
    rows = {
        site: {slot: {name: torch.ones(2)} for slot, name in slots.items()} for site, slots in names.items() if slots
    }
    back = Shared.from_bytes(Shared(router="r", rows=rows).to_bytes())
    assert {s: {o: set(state) for o, state in v.items()} for s, v in back.rows.items()} == {
        s: {o: set(state) for o, state in v.items()} for s, v in rows.items()
    }


def header(**changes: object) -> dict[str, str]:
    value = {"router": "r", "keys": [["s", "o", "n"]], "fits": []}
    return {"atoll": json.dumps({**value, **changes})}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 40,
        save({"00000": torch.ones(2)}),
        save({"00000": torch.ones(2)}, metadata=header(keys=[])),
        save({"00000": torch.ones(2)}, metadata=header(keys=[["s", "o"]])),
        save({"00000": torch.ones(2)}, metadata=header(fits=[[1, 2]])),
        save({"00000": torch.tensor([float("nan")])}, metadata=header()),
        save({"00000": torch.ones(2, dtype=torch.float64)}, metadata=header()),
        save({"other": torch.ones(2)}, metadata=header()),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(PackageError, match="shared part"):
        Shared.from_bytes(data)


def test_the_smallest_that_is_taken() -> None:
    assert Shared.from_bytes(save({"00000": torch.ones(2)}, metadata=header())).router == "r"
