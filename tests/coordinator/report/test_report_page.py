import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from atoll.coordinator.report.figures import draw
from atoll.coordinator.report.page import write_report
from atoll.coordinator.results import Member, RunResults, Transfer

VOID = {"meta", "img", "br", "link", "hr", "input"}
HOSTILE = "<script>alert('x')</script>\"'&{{ 7*7 }}"


class Page(HTMLParser):
    """What a browser sees; a tag that is not closed, or closed out of turn, is an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text += f"{data} "

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def written(results: RunResults, folder: Path) -> Page:
    path = write_report(results, [], folder)
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_has_what_was_found(results: RunResults, tmp_path: Path) -> None:
    path = write_report(results, [], tmp_path / "new")
    assert path == tmp_path / "new" / "report.html"
    html = path.read_text(encoding="utf-8")
    assert html.lstrip().startswith("<!DOCTYPE html>")
    page = Page(html)
    assert results.title in page.text
    for silo in results.silos:
        assert silo.name in page.text
        assert silo.domain in page.text
        for model, loss in results.losses[silo.name].items():
            assert model == "never had" or f"{loss:.3f}" in page.text
        assert f"{100 * results.share_of_gain[silo.name]:.1f} %" in page.text
    for expected in (
        "3.067",  # mean of soup
        "97.7 %",  # mean share
        "without software-house",
        "84.0 %",
        "3.8 MiB",
        "1,000 B",
        "300,000",
        "1,200,000",
        "3,400,000 parameters",
        "4 min 2 s",
        "3.0 GiB",
        "flexolmo",
        "domain",
        "exact",
        "2.13.0",
        "atoll demo --anchor atoll-3m --seed 0",
        results.release.digest,
        results.anchor.digest,
        results.release.members[2].digest,
    ):
        assert expected in page.text


def test_rows_of_losses_belong_to_their_silo(results: RunResults, tmp_path: Path) -> None:
    text = written(results, tmp_path).text
    assert "library 3.950 2.710 2.750 3.300 3.210 2.760 2.760 3.930 2.760 96.8 %" in text
    assert "law-firm 3.8 MiB 1,000 B 3.8 MiB" in text


def test_the_withdrawal_comes_with_both_answers(results: RunResults, tmp_path: Path) -> None:
    found = results.withdrawal
    assert found is not None
    text = written(replace(results, withdrawal=replace(found, loss_never_had=3.95)), tmp_path).text
    assert "library withdraws" in text
    assert "2.7500 3.9300 3.9500 0.02 0.0100" in text
    for expected in (found.prompt, found.answer_before, found.answer_after, found.release_digest):
        assert expected in text
    unasked = written(replace(results, withdrawal=replace(found, prompt="")), tmp_path).text
    assert "library withdraws" in unasked
    assert "Answer before" not in unasked


def test_pictures_are_in_the_page(results: RunResults, tmp_path: Path) -> None:
    figures = draw(results, tmp_path / "figures")
    extra = tmp_path / "extra.png"
    extra.write_bytes(figures[0].read_bytes()[::-1])
    path = write_report(results, [*figures, extra], tmp_path)
    images = Page(path.read_text(encoding="utf-8")).named("img")
    embedded = []
    for image in images:
        kind, _, data = (image["src"] or "").partition(",")
        assert kind == "data:image/png;base64"
        embedded.append(base64.b64decode(data, validate=True))
        assert image["alt"]
    assert sorted(embedded) == sorted(figure.read_bytes() for figure in [*figures, extra])


def test_the_page_loads_nothing(results: RunResults, tmp_path: Path) -> None:
    html = write_report(results, draw(results, tmp_path), tmp_path).read_text(encoding="utf-8")
    page = Page(html)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not {name for name in attributes if name.startswith("on")}
        for name in ("src", "href", "srcset", "action", "background", "data"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert "url(" not in html
    assert "@import" not in html
    assert not re.search(r"https?://", html)


def test_hostile_text_stays_text(results: RunResults, tmp_path: Path) -> None:
    silos = [
        replace(silo, name=HOSTILE, domain=HOSTILE, failure=HOSTILE, status="failed") for silo in results.silos[:1]
    ]
    found = results.withdrawal
    assert found is not None
    hostile = replace(
        results,
        run=HOSTILE,
        title=HOSTILE,
        command=HOSTILE,
        silos=silos,
        losses={HOSTILE: dict(results.losses["hospital"]) | {HOSTILE: 1.0}},
        routing={HOSTILE: {"anchor": 0.5, HOSTILE: 0.5}},
        transfers=[Transfer(silo=HOSTILE, direction="out", what=HOSTILE, bytes=5)],
        times={HOSTILE: 1.0},
        versions={HOSTILE: HOSTILE},
        release=replace(results.release, guarantee=HOSTILE, members=[Member(owner=HOSTILE, digest=HOSTILE)]),
        withdrawal=replace(found, owner=HOSTILE, prompt=HOSTILE, answer_before=HOSTILE, answer_after=HOSTILE),
    )
    page = written(hostile, tmp_path)
    assert page.named("script") == []
    assert page.text.count(HOSTILE) >= 20
    assert all(
        set(attributes) <= {"scope", "class", "role", "lang", "charset", "content", "name", "http-equiv"}
        for _, attributes in page.tags
    )


def test_failed_silos_are_announced_before_anything_else(results: RunResults, tmp_path: Path) -> None:
    silos = [
        replace(silo, status="failed", failure="the disk is full") if silo.name == "library" else silo
        for silo in results.silos
    ]
    losses = {silo: found for silo, found in results.losses.items() if silo != "library"}
    page = written(replace(results, silos=silos, losses=losses, withdrawal=None), tmp_path)
    assert [attributes for _, attributes in page.tags if attributes.get("role") == "alert"]
    notice = page.text.index("1 of 4 silos failed")
    assert notice < page.text.index("the disk is full") < page.text.index("What it shows")
    assert "library – – –" in page.text
    whole = written(results, tmp_path)
    assert not [attributes for _, attributes in whole.tags if attributes.get("role") == "alert"]


def test_what_is_not_there_has_no_heading(results: RunResults, tmp_path: Path) -> None:
    page = written(
        replace(results, routing={}, withdrawal=None, transfers=[], losses={}, peak_memory_bytes=0), tmp_path
    )
    assert "Routing" not in page.text
    assert "withdraws" not in page.text
    assert "not known" in page.text
    assert "No silo was measured" in page.text


def test_a_missing_figure_is_an_error_and_leaves_no_page(results: RunResults, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_report(results, [tmp_path / "gains.png"], tmp_path)
    assert not (tmp_path / "report.html").exists()
