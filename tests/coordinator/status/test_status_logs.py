import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from atoll.coordinator.status.logs import log_to
from atoll.errors import ConfigError

LOGGER = logging.getLogger("atoll")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    handlers, level = list(LOGGER.handlers), LOGGER.level
    yield
    for handler in [each for each in LOGGER.handlers if each not in handlers]:
        LOGGER.removeHandler(handler)
        handler.close()
    LOGGER.setLevel(level)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_one_object_a_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log_to(path, level="INFO")
    log = logging.getLogger("atoll.coordinator.server")
    log.debug("not this")
    log.info("asked %s\nfor work", "Zürich", extra={"owner": "clinic", "unit": "u1"})
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("it failed")
    logging.getLogger("elsewhere").error("nor this")
    asked, failed = lines(path)
    at = datetime.fromisoformat(asked.pop("ts"))
    assert at.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)
    assert asked == {
        "level": "INFO",
        "logger": "atoll.coordinator.server",
        "message": "asked Zürich\nfor work",
        "owner": "clinic",
        "unit": "u1",
    }
    assert (failed["level"], failed["message"]) == ("ERROR", "it failed")
    assert "ValueError: why" in failed["exc_info"]


def test_a_full_file_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atoll.coordinator.status.logs._LARGEST", 1000)
    log_to(tmp_path / "log.jsonl", level=logging.INFO)
    for number in range(100):
        LOGGER.info("line %d", number)
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == ["log.jsonl", *(f"log.jsonl.{number}" for number in range(1, 6))]
    assert max(path.stat().st_size for path in files) <= 1000
    assert lines(files[0])[-1]["message"] == "line 99"


def test_a_level_that_lets_more_through_already_stays(tmp_path: Path) -> None:
    LOGGER.setLevel(logging.DEBUG)
    log_to(tmp_path / "log.jsonl", level="WARNING")
    assert LOGGER.level == logging.DEBUG
    LOGGER.info("not this")
    LOGGER.warning("this")
    assert [line["message"] for line in lines(tmp_path / "log.jsonl")] == ["this"]


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no log can be written here"):
        log_to(tmp_path / "missing" / "log.jsonl", level="INFO")
    with pytest.raises(ConfigError, match="'LOUD' is no level"):
        log_to(tmp_path / "log.jsonl", level="LOUD")
