"""A release's envelope against whoever can write to its folder, and against who shows an older one."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.coordinator.releases.conftest import save_expert

from atoll.anchors.digest import file_sha256
from atoll.errors import MixtureError
from atoll.experts.package import read_package
from atoll.experts.signing import OwnerKey
from atoll.releases.envelope import ENVELOPE, Issuer, read_envelope, renewed
from atoll.releases.folder import read_description, write_folder, write_release
from atoll.releases.opening import inspect_release, open_release, read_release
from atoll.releases.trust import ReleaseMemory, Trust

Make = Callable[..., Any]
COORDINATOR = OwnerKey.generate()


def packages(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in (folder / "experts").glob("*.atoll")}


@pytest.fixture
def memory(tmp_path: Path) -> ReleaseMemory:
    return ReleaseMemory(tmp_path / "state")


@pytest.fixture
def releases(make: Make, tmp_path: Path) -> Path:
    """Release 1 of three owners, 2 of two and 3 of what 1 held, signed by a coordinator."""
    first, files, parent = make().release, packages(tmp_path / "release"), tmp_path / "releases"
    issuer = Issuer(COORDINATOR, days=90, head="7:sha256:abc")
    for release in (first, first.without("library"), replace(first, number=3)):
        write_release(release, files, parent, issuer=issuer)
    return parent


def exchange_member(folder: Path, tmp_path: Path, anchor: Any, owner: str) -> None:
    """Put an expert of the attacker's in a member's place, with the attacker's key, and say so in release.json."""
    forged = save_expert(tmp_path / "forged.atoll", anchor, owner, learned=True, key=OwnerKey.generate())
    package = read_package(forged, trusted=None, anchor=anchor.digest)
    raw = json.loads((folder / "release.json").read_text())
    (member,) = [each for each in raw["members"] if each["owner"] == owner]
    member |= {
        "digest": package.digest,
        "public_key": package.public_key.hex,
        "blob": f"sha256:{file_sha256(forged)}",
    }
    (folder / "release.json").write_text(json.dumps(raw))
    shutil.copyfile(forged, folder / "experts" / f"{owner}.atoll")


def test_a_members_package_and_key_cannot_be_exchanged(make: Make, tmp_path: Path) -> None:
    opened, folder = make(learned=True), tmp_path / "release"
    exchange_member(folder, tmp_path, opened.anchor, "clinic")
    for way in (read_release, open_release, inspect_release):
        with pytest.raises(MixtureError, match="not what was signed"):
            way(folder)
    # Nor when the attacker signs what it made: its key is nobody's here.
    forged, raw = read_description(folder)
    Issuer(OwnerKey.generate()).sign(forged, raw).save(folder / ENVELOPE)
    with pytest.raises(MixtureError, match="signed by"):
        open_release(folder)
    (folder / ENVELOPE).unlink()
    with pytest.raises(MixtureError, match="--unsigned"):
        open_release(folder)


def test_a_members_key_alone_cannot_be_exchanged(make: Make, tmp_path: Path) -> None:
    """The content digest covers packages and no keys, so it does not notice."""
    opened, folder = make(), tmp_path / "release"
    raw = json.loads((folder / "release.json").read_text())
    raw["members"][0]["public_key"] = OwnerKey.generate().public.hex
    (folder / "release.json").write_text(json.dumps(raw))
    assert read_description(folder)[0].digest == opened.release.digest
    with pytest.raises(MixtureError, match="not what was signed"):
        open_release(folder)


@pytest.mark.parametrize("name", ["number", "release", "description", "issued", "expires", "head", "previous"])
def test_no_field_of_an_envelope_can_be_changed(releases: Path, name: str) -> None:
    folder = releases / "release-0002"
    raw = json.loads((folder / ENVELOPE).read_text())
    raw[name] = raw[name] + 1 if name == "number" else raw[name].replace(raw[name][-1], "7") + "x"
    (folder / ENVELOPE).write_text(json.dumps(raw))
    with pytest.raises(MixtureError, match=ENVELOPE):
        read_release(folder, Trust(key=COORDINATOR.public, memory=None))


def test_an_envelope_of_another_release_does_not_fit(releases: Path) -> None:
    """Release 3 holds what 1 held, and its envelope is not 1's all the same."""
    shutil.copyfile(releases / "release-0003" / ENVELOPE, releases / "release-0001" / ENVELOPE)
    with pytest.raises(MixtureError, match="not what was signed"):
        read_release(releases / "release-0001", Trust(key=COORDINATOR.public, memory=None))


def test_whose_releases_are_opened(releases: Path, memory: ReleaseMemory) -> None:
    folder = releases / "release-0003"
    with pytest.raises(MixtureError, match="--key"):
        read_release(folder, Trust(memory=memory))
    with pytest.raises(MixtureError, match="not by"):
        read_release(folder, Trust(key=OwnerKey.generate().public, memory=memory))
    assert read_release(folder, Trust(key=COORDINATOR.public, memory=memory)).number == 3
    # Named once, it is known for this folder, and nobody else is.
    assert read_release(folder, Trust(memory=memory)).number == 3
    release, raw = read_description(folder)
    Issuer(memory.own_key()).sign(release, raw).save(folder / ENVELOPE)
    with pytest.raises(MixtureError, match="before"):
        read_release(folder, Trust(memory=memory, first=True))


def test_first_use_pins_the_signer_and_a_coordinator_of_ones_own_needs_no_naming(
    releases: Path, memory: ReleaseMemory, tmp_path: Path
) -> None:
    folder = releases / "release-0003"
    assert read_release(folder, Trust(memory=memory, first=True)).number == 3
    assert memory.pinned(folder) == COORDINATOR.public.hex
    other = ReleaseMemory(tmp_path / "operator")
    other.know(COORDINATOR.public)
    assert read_release(folder, Trust(memory=other)).number == 3


def test_an_older_release_is_not_opened_after_a_newer_one(releases: Path, memory: ReleaseMemory) -> None:
    trust = Trust(key=COORDINATOR.public, memory=memory)
    assert read_release(releases / "release-0001", trust).number == 1
    assert read_release(releases / "release-0002", trust).number == 2
    with pytest.raises(MixtureError, match="--older"):
        open_release(releases / "release-0001", trust)
    assert read_release(releases / "release-0001", replace(trust, older=True)).number == 1
    # Going back is a new number with old content.
    assert (
        read_release(releases / "release-0003", trust).digest == read_description(releases / "release-0001")[0].digest
    )
    with pytest.raises(MixtureError, match="--older"):
        read_release(releases / "release-0002", trust)


def test_two_releases_of_one_number_are_noticed(releases: Path, memory: ReleaseMemory, tmp_path: Path) -> None:
    trust = Trust(key=COORDINATOR.public, memory=memory)
    read_release(releases / "release-0002", trust)
    other = read_description(releases / "release-0003")[0]
    fork = tmp_path / "fork"
    write_folder(replace(other, number=2), packages(releases / "release-0003"), fork, issuer=Issuer(COORDINATOR))
    with pytest.raises(MixtureError, match="two releases 2"):
        read_release(fork, trust)
    follower = Issuer(COORDINATOR, previous="sha256:of another history")
    write_folder(other, packages(releases / "release-0003"), tmp_path / "next", issuer=follower)
    with pytest.raises(MixtureError, match="does not follow"):
        read_release(tmp_path / "next", trust)


def test_a_release_that_nobody_renews_expires(releases: Path, memory: ReleaseMemory) -> None:
    folder, trust = releases / "release-0003", Trust(key=COORDINATOR.public, memory=memory)
    before = read_envelope(folder)
    assert before is not None
    replace(before, expires="2020-01-01T00:00:00+00:00").signed(COORDINATOR).save(folder / ENVELOPE)
    with pytest.raises(MixtureError, match="held until 2020"):
        read_release(folder, trust)
    assert read_release(folder, replace(trust, older=True)).number == 3
    again = renewed(folder, Issuer(COORDINATOR, days=90, head="9:sha256:def"))
    assert (again.identity, again.head) == (before.identity, "9:sha256:def")
    assert read_release(folder, trust).number == 3
    with pytest.raises(MixtureError, match="signer"):
        renewed(folder, Issuer(OwnerKey.generate()))


def test_what_one_makes_oneself_opens_as_before(make: Make, tmp_path: Path) -> None:
    """Signed with the user's own key: in any order, wherever it is moved to on this machine, and without an end."""
    release, files = make().release, packages(tmp_path / "release")
    write_release(release, files, tmp_path / "run" / "releases")
    write_release(release.without("library"), files, tmp_path / "run" / "releases")
    shutil.move(tmp_path / "run", tmp_path / "moved")
    for number in (2, 1, 2):
        assert read_release(tmp_path / "moved" / "releases" / f"release-000{number}").number == number
    envelope = read_envelope(tmp_path / "moved" / "releases" / "release-0002")
    assert envelope is not None
    assert envelope.expires == ""
    # Somebody else does not know this user's key.
    with pytest.raises(MixtureError, match="--key"):
        read_release(tmp_path / "moved" / "releases" / "release-0001", Trust(memory=ReleaseMemory(tmp_path / "other")))


def test_a_release_of_before_is_signed_when_its_maker_makes_it_again(make: Make, tmp_path: Path) -> None:
    release, folder = make().release, tmp_path / "release"
    (folder / ENVELOPE).unlink()
    assert read_release(folder, unsigned=True) == release
    write_folder(release, packages(folder), folder)
    assert read_release(folder) == release
    # But not where somebody changed what the digest does not cover.
    (folder / ENVELOPE).unlink()
    raw = json.loads((folder / "release.json").read_text())
    raw["members"][0]["public_key"] = OwnerKey.generate().public.hex
    (folder / "release.json").write_text(json.dumps(raw))
    write_folder(release, packages(folder), folder)
    with pytest.raises(MixtureError, match="--unsigned"):
        read_release(folder)
