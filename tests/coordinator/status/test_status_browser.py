"""The status page in a real browser, without a mouse."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from atoll.coordinator.status.live import Live
from atoll.coordinator.status.snapshot import reader
from atoll.coordinator.status.web import Server, create_status_app, serve
from atoll.ledger import Ledger, OwnerAdmitted

from .conftest import NOW, TOKEN

pytest.importorskip("playwright", reason="playwright is not installed (dependency group dev)")

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if PROGRAM is None:
        pytest.skip("no browser is installed (Debian: apt-get install chromium)")
    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A window of its own; at its end, nothing may have been asked for elsewhere, and nothing forbidden been tried."""
    made = browser.new_context(viewport={"width": 1280, "height": 800})
    asked: list[str] = []
    complaints: list[str] = []
    made.on("request", lambda request: asked.append(request.url))
    made.on("console", lambda message: complaints.append(message.text))
    made.on("weberror", lambda error: complaints.append(str(error.error)))
    yield made
    made.close()
    assert {urlsplit(url).hostname for url in asked if not url.startswith("data:")} <= {"127.0.0.1"}
    assert [said for said in complaints if not said.startswith("Failed to load resource")] == []


def type_token(page: Page, token: str) -> None:
    """Into the field that has the focus by itself."""
    expect(page.get_by_label("Token")).to_be_focused()
    page.keyboard.type(token)


def sign_in(page: Page, url: str) -> None:
    page.goto(url)
    type_token(page, TOKEN)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Owners")).to_be_visible()


@pytest.fixture
def page(context: BrowserContext, server: Server) -> Page:
    """Signed in by the keyboard."""
    page = context.new_page()
    sign_in(page, server.url)
    return page


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))


def tab_to(page: Page, wanted: str) -> None:
    for _ in range(30):
        if focused(page) == wanted:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard does not reach {wanted}")


def test_signing_in_and_out_by_the_keyboard(context: BrowserContext, server: Server) -> None:
    page = context.new_page()
    page.goto(server.url)
    type_token(page, "not the token at all")
    page.keyboard.press("Tab")
    assert focused(page) == "Sign in"
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("That is not the token. Try again.")
    type_token(page, TOKEN)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Atoll coordinator")).to_be_visible()
    assert page.url == server.url
    tab_to(page, "Sign out")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Token")).to_be_visible()
    page.goto(server.url)
    expect(page.get_by_label("Token")).to_be_visible()


def test_tables_are_tables_to_those_who_hear_them(page: Page) -> None:
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 740})
        owners = page.get_by_role("table", name="Owners", exact=True)
        assert owners.get_by_role("columnheader").all_inner_texts()[:2] == ["owner", "key"]
        assert owners.get_by_role("rowheader").count() == 4
        row = owners.get_by_role("row").filter(has=page.get_by_role("rowheader", name="clinic"))
        expect(row.get_by_role("cell").nth(2)).to_contain_text("alive")
    expect(page.get_by_role("main")).to_be_visible()
    expect(page.get_by_role("navigation", name="Tables")).to_be_visible()
    expect(page.get_by_role("contentinfo")).to_be_visible()


def test_the_first_stop_skips_to_the_tables(page: Page) -> None:
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the tables"
    assert page.locator(".skip").bounding_box()["y"] >= 0  # type: ignore[index]
    page.keyboard.press("Enter")
    assert focused(page) == "main"


def test_the_focus_is_seen(page: Page) -> None:
    tab_to(page, "refresh")
    style = page.evaluate("(({outlineStyle, outlineWidth}) => [outlineStyle, outlineWidth])(getComputedStyle(refresh))")
    assert style == ["solid", "3px"]


def test_what_owners_wrote_does_not_run_nor_would_it_if_it_were_let_in(browser: Browser, server: Server) -> None:
    context = browser.new_context()
    page = context.new_page()
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    sign_in(page, server.url)
    assert "<script>alert('x')</script>" in page.locator("#owners").inner_text()
    with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
        page.evaluate("main.append(Object.assign(document.createElement('script'), {textContent: 'alert(1)'}))")
    assert dialogs == []
    context.close()


def test_refreshing_brings_news_and_moves_nothing(page: Page, ledger_path: Path) -> None:
    page.set_viewport_size({"width": 1280, "height": 500})
    tab_to(page, "refresh")
    page.evaluate("window.scrollTo(0, 300)")
    page.evaluate("document.documentElement.dataset.same = 'yes'")
    before = page.evaluate("scrollY")
    with Ledger.open(ledger_path) as other:
        other.record(OwnerAdmitted(owner="zoo", domain="animals", public_key="z"), NOW)
    page.keyboard.press("Enter")
    expect(page.get_by_role("rowheader", name="zoo")).to_have_count(1)
    assert focused(page) == "refresh"
    assert page.evaluate("scrollY") == before == 300
    assert page.evaluate("document.documentElement.dataset.same") == "yes"


def test_it_refreshes_by_itself_and_can_be_stopped(context: BrowserContext, ledger: Ledger) -> None:
    live = Live()
    running = serve(create_status_app(reader(ledger, live), TOKEN), "127.0.0.1", 0)
    page = context.new_page()
    try:
        page.clock.install()
        sign_in(page, running.url)
        failures = page.locator("#failures")
        expect(failures).not_to_contain_text("first")
        live.failed("clinic", "train", "first")
        page.clock.run_for(11_000)
        expect(failures).to_contain_text("first")
        tab_to(page, "auto")
        page.keyboard.press("Space")
        live.failed("clinic", "train", "second")
        page.clock.run_for(60_000)
        time.sleep(0.5)
        expect(failures).not_to_contain_text("second")
        page.keyboard.press("Space")
        page.clock.run_for(11_000)
        expect(failures).to_contain_text("second")
    finally:
        running.stop()


def test_a_coordinator_that_is_gone_is_said_and_the_page_stays(context: BrowserContext, ledger: Ledger) -> None:
    running = serve(create_status_app(reader(ledger, Live()), TOKEN), "127.0.0.1", 0)
    page = context.new_page()
    sign_in(page, running.url)
    expect(page.get_by_role("status")).to_have_text("")
    running.stop()
    tab_to(page, "refresh")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("does not answer")
    expect(page.get_by_role("rowheader", name="mill")).to_be_visible()


def test_without_scripts_it_is_all_there(browser: Browser, server: Server) -> None:
    plain = browser.new_context(java_script_enabled=False)
    page = plain.new_page()
    page.goto(server.url)
    page.get_by_label("Token").press_sequentially(TOKEN)
    page.keyboard.press("Enter")
    expect(page.get_by_role("table")).to_have_count(6)
    expect(page.get_by_role("checkbox")).to_have_count(0)
    page.get_by_role("link", name="Refresh").press("Enter")
    expect(page.get_by_role("table")).to_have_count(6)
    assert page.url == server.url
    plain.close()


def test_nothing_sticks_out(page: Page, ledger_path: Path) -> None:
    long = "w" * 400
    with Ledger.open(ledger_path) as other:
        other.record(OwnerAdmitted(owner=long, domain=long, public_key=long), NOW)
    page.reload()
    expect(page.get_by_role("rowheader", name=long[:100])).to_have_count(1)
    within = "[...document.querySelectorAll('tbody td, tbody th')].every(each => each.scrollWidth <= each.clientWidth)"
    for width in (1280, 900, 840, 830, 600, 360, 320):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(within)
