import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any, Self

import pytest
import torch

from atoll.errors import AnchorError, AtollError, MixtureError, PackageError
from atoll.releases.folder import numbered, write_folder, write_release
from atoll.releases.members import check_consent
from atoll.releases.opening import open_release, read_release

IDS = torch.tensor([[1, 2, 3, 200, 45, 99, 7, 8]])


def logits(opened: Any) -> torch.Tensor:
    with torch.no_grad(), opened.mixture.use() as _:
        found: torch.Tensor = opened.mixture(input_ids=IDS).logits
    return found


def packages(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in (folder / "experts").glob("*.atoll")}


def test_a_release_reads_as_it_was_written(make: Any, tmp_path: Path) -> None:
    opened = make(router="domain", temperature=3.0)
    again = open_release(tmp_path / "release")
    assert again.release == opened.release
    assert torch.equal(logits(again), logits(opened))
    assert read_release(tmp_path / "release").digest == opened.release.digest


def test_a_numbered_release_is_never_replaced(make: Any, tmp_path: Path) -> None:
    release, found = make().release, packages(tmp_path / "release")
    assert write_release(release, found, tmp_path / "all") == tmp_path / "all" / "release-0001"
    write_release(release, found, tmp_path / "all")
    reduced = release.without("library")
    assert reduced.number == 2
    assert reduced.digest != release.digest
    folder = write_release(reduced, found, tmp_path / "all")
    assert sorted(packages(folder)) == ["clinic", "office"]
    with pytest.raises(MixtureError, match="immutable"):
        write_folder(release, found, folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(MixtureError, match="no release"):
        write_folder(release, found, tmp_path / "other")
    with pytest.raises(MixtureError, match="cannot be written"):
        write_folder(release, found, tmp_path / "other" / "thesis.txt" / "below")


def test_a_release_keeps_its_number_and_another_takes_the_next(make: Any, tmp_path: Path) -> None:
    release, found = make().release, packages(tmp_path / "release")
    everything = tmp_path / "all"
    assert numbered(release, everything) == release
    write_release(release, found, everything)
    reduced = numbered(release.without("library"), everything)
    write_release(reduced, found, everything)
    assert (reduced.number, numbered(release, everything)) == (2, release)
    other = release.without("office")
    assert numbered(other, everything).number == 3
    write_release(numbered(other, everything), found, everything)
    assert numbered(release.without("library"), everything) == reduced


def test_an_anchor_that_moved_is_found_by_its_new_place_and_the_digest_stays(make: Any, tmp_path: Path) -> None:
    opened = make()
    assert opened.release.anchor_name == str((tmp_path / "anchor").resolve())
    (tmp_path / "anchor").rename(tmp_path / "moved")
    with pytest.raises(AnchorError, match="--anchor"):
        open_release(tmp_path / "release")
    again = open_release(tmp_path / "release", anchor=str(tmp_path / "moved"))
    assert torch.equal(logits(again), logits(opened))
    raw = json.loads((tmp_path / "release" / "release.json").read_text())
    raw["anchor_name"] = str(tmp_path / "moved")
    (tmp_path / "release" / "release.json").write_text(json.dumps(raw))
    with pytest.raises(MixtureError, match="not what was signed"):
        open_release(tmp_path / "release")
    (tmp_path / "release" / "envelope.json").unlink()
    assert open_release(tmp_path / "release", unsigned=True).release.digest == opened.release.digest


def test_another_anchor_is_refused(make: Any, tmp_path: Path) -> None:
    make()
    with pytest.raises(AnchorError, match="made with anchor sha256"):
        open_release(tmp_path / "release", anchor="atoll-3m")


def test_left_out_owners_are_not_even_read(make: Any, tmp_path: Path) -> None:
    opened = make()
    with torch.no_grad(), opened.mixture.use(["clinic", "office"]):
        masked = opened.mixture(input_ids=IDS).logits
    (tmp_path / "release" / "experts" / "library.atoll").unlink()
    with pytest.raises(PackageError, match="not there"):
        open_release(tmp_path / "release")
    reduced = open_release(tmp_path / "release", without=["library", "library"])
    assert reduced.release.owners == ("clinic", "office")
    torch.testing.assert_close(logits(reduced), masked)
    with pytest.raises(MixtureError, match="libary"):
        open_release(tmp_path / "release", without=["libary"])
    with pytest.raises(MixtureError, match="nobody is left"):
        open_release(tmp_path / "release", without=["library", "clinic", "office"])


class Later(date):
    @classmethod
    def today(cls) -> Self:
        return cls(2100, 1, 1)


def test_an_expert_whose_consent_ended_does_not_answer(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = make(until={"library": "2099-12-31", "office": "2100-01-01"})
    monkeypatch.setattr("atoll.releases.opening.date", Later)
    with pytest.raises(MixtureError, match=r"'library' ended on 2099-12-31.*--without library"):
        open_release(tmp_path / "release")
    reduced = open_release(tmp_path / "release", without=["library"])
    assert reduced.release.owners == ("clinic", "office")
    with pytest.raises(MixtureError, match="library"):
        check_consent(opened.experts, Later.today())


def test_what_was_exchanged_after_the_release_is_noticed(make: Any, tmp_path: Path) -> None:
    make()
    folder = tmp_path / "release"
    experts = folder / "experts"
    shutil.copy(experts / "clinic.atoll", experts / "office.atoll")
    with pytest.raises(PackageError, match=r"office\.atoll"):
        open_release(folder)
    raw = json.loads((folder / "release.json").read_text())
    clinic, office = raw["members"][0], raw["members"][2]
    raw["members"][2] = {**clinic, "owner": office["owner"]}
    (folder / "release.json").write_text(json.dumps(raw))
    (folder / "envelope.json").unlink()
    with pytest.raises(PackageError, match="came from 'office'"):
        open_release(folder, unsigned=True)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"number": "many"}', '{"number": 1}', "\xff"])
def test_a_damaged_release_says_so(make: Any, tmp_path: Path, content: str) -> None:
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / "release.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(AtollError, match=r"release\.json"):
        read_release(tmp_path / "release")


def test_a_folder_without_a_release_says_so(tmp_path: Path) -> None:
    with pytest.raises(MixtureError, match="atoll mixture build"):
        read_release(tmp_path)
