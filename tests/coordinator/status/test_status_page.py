import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from atoll.coordinator.status.page import content_policy, login_page, status_page
from atoll.coordinator.status.snapshot import Snapshot

VOID = {"meta", "link", "input"}


class Page(HTMLParser):
    """What a browser sees; a tag that is not closed, or closed out of turn, is an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.raw: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.text += " "
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("style", "script"):
            self.raw[self._open[-1]] = data
        else:
            self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_page_says_how_things_stand(found: Snapshot) -> None:
    text = Page(status_page(found)).text
    for said in (
        "As of 2026-06-01 15:00:00 UTC, running since 2026-06-01 14:00:00 UTC",
        "Nodes alive 1 of 2 3 owners admitted, 1 revoked",
        "revoked left the federation",
        "alive 4 s ago",
        "silent 7 min 0 s ago",
        "3.0 MiB 1,000 B since the start",
        "restricted for research, teaching until 2027-01-31",
        "does harm to clinic: +0.250 nats a token",
        "no longer no use of what is bank’s",
        "30 of 120",
        "not heard of yet",
        "1 done, 1 open",
        "its disk is full",
        f"event {found.sequence}: {found.head}",
    ):
        assert said in text


def test_without_a_server_it_says_so(written: Snapshot) -> None:
    text = Page(status_page(written)).text
    assert "not running: this is what the ledger says" in text
    assert "Nodes alive unknown" in text
    assert "since the start" not in text


def test_nothing_yet(written: Snapshot) -> None:
    empty = replace(written, owners=[], experts=[], releases=[], calls=[], work=[], failures=[])
    page = Page(status_page(empty))
    assert page.named("table") == []
    assert "No owner was admitted yet." in page.text
    assert "Nothing has failed." in page.text


def test_what_owners_wrote_is_text(found: Snapshot) -> None:
    html = status_page(found)
    page = Page(html)
    assert len(page.named("script")) == 1
    assert "alert" not in page.raw["script"]
    assert "<script>alert('x')</script>\"'&{{ 7*7 }}" in page.text
    # Neither a mirrored line nor a terminal's commands.
    assert not [each for each in html if each in "\u202e\x1b"]


def test_half_a_character_can_be_sent(found: Snapshot) -> None:
    strange = replace(found, work=[replace(found.work[0], note="\ud800", owner="\ud800")])
    status_page(strange).encode("utf-8")


@pytest.mark.parametrize("which", ["page", "login"])
def test_nothing_comes_from_elsewhere_and_only_our_own_script_runs(found: Snapshot, which: str) -> None:
    html = status_page(found) if which == "page" else login_page(wrong=True)
    page = Page(html)
    assert not re.findall(r"(?:https?:)?//\w", re.sub(r"\s//.*", "", html))
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("src", "href", "action"):
            assert re.fullmatch(r"(#[\w-]+|\.|[\w.]+|data:,)", attributes.get(name) or ".")
    for tag, text in page.raw.items():
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in content_policy()
    assert "unsafe" not in content_policy()
    assert "default-src 'none'" in content_policy()


def test_tables_have_captions_and_headers(found: Snapshot) -> None:
    page = Page(status_page(found))
    tables = page.named("table")
    assert len(page.named("caption")) == len(tables) == 6
    assert {attributes.get("scope") for attributes in page.named("th")} == {"col", "row"}
    names = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(names) == len(set(names))
    assert {attributes["aria-labelledby"] for attributes in tables} <= set(names)
    assert {str(attributes["href"])[1:] for attributes in page.named("a") if str(attributes["href"])[0] == "#"} <= set(
        names
    )
    for landmark in ("header", "nav", "main", "footer"):
        assert len(page.named(landmark)) == 1


def test_the_login_says_what_was_wrong() -> None:
    assert "not the token" not in Page(login_page(wrong=False)).text
    wrong = Page(login_page(wrong=True))
    assert "That is not the token." in wrong.text
    (field,) = [attributes for attributes in wrong.named("input") if attributes["name"] == "token"]
    assert field["aria-describedby"] == "wrong where"
    assert field["aria-invalid"] == "true"
