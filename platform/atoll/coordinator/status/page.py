"""The status as a web page that needs nothing but itself."""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from atoll.coordinator.status.cells import moment_text
from atoll.coordinator.status.tables import tables
from atoll.coordinator.status.tiles import tiles
from atoll.coordinator.status.values import Snapshot


def status_page(snapshot: Snapshot) -> str:
    """The page of a snapshot; whatever owners and nodes wrote is text in it, never markup."""
    return _render("page.html.j2", snapshot=snapshot, tables=tables(snapshot), tiles=tiles(snapshot))


def login_page(*, wrong: bool) -> str:
    """The page that asks for the token.

    Args:
        wrong: Say that what was given is not the token.
    """
    return _render("login.html.j2", wrong=wrong)


@cache
def content_policy() -> str:
    """What a browser may do with these pages: nothing but what stands in them, and ask this server again."""
    return (
        f"default-src 'none'; style-src {_hash('page.css')}; script-src {_hash('page.js')}; img-src data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def _render(name: str, **values: Any) -> str:
    # Ours, so not escaped; the policy lets in these very texts alone.
    style, script = Markup(_text("page.css")), Markup(_text("page.js"))
    return _environment().from_string(_text(name)).render(style=style, script=script, **values)


@cache
def _environment() -> Environment:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["moment"] = moment_text
    return environment


@cache
def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(name: str) -> str:
    digest = hashlib.sha256(_text(name).encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
