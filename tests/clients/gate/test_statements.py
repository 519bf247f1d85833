"""What an owner says of consent is numbered, signed and kept until it is heard."""

from pathlib import Path

import pytest

from atoll.clients.gate.statements import Statements
from atoll.errors import ConfigError
from atoll.experts.signing import OwnerKey
from atoll.federation.handover import Statement

EXPERT = "sha256:" + "e" * 64


def test_statements_count_up_and_are_told_until_heard(tmp_path: Path) -> None:
    said = Statements(tmp_path, "clinic", OwnerKey.generate())
    said.say(expert="", purposes=[], until=None, words="we leave")
    said.say(expert=EXPERT, purposes=["research"], until="2031-12-31", words="")
    numbers = [Statement.from_json(text).number for text in said.after(0)]
    assert numbers == [1, 2]
    assert [Statement.from_json(text).purposes for text in said.after(1)] == [["research"]]
    assert said.after(2) == []


@pytest.mark.parametrize(
    ("expert", "until"), [("", None), ("sha256:zz", None), (EXPERT, "tomorrow"), (EXPERT, "2031-02-31")]
)
def test_what_cannot_be_is_not_said(tmp_path: Path, expert: str, until: str | None) -> None:
    said = Statements(tmp_path, "clinic", OwnerKey.generate())
    with pytest.raises(ConfigError):
        said.say(expert=expert, purposes=["any"], until=until, words="")
    assert said.after(0) == []
