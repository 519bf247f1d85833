"""Every number of every message, fact, document, release and card: what is not finite, beyond all bounds, or negative
where something is counted, is refused where it is read.
"""

import dataclasses
import importlib
import inspect
import json
import pkgutil
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

import atoll.clients
import atoll.coordinator
import atoll.experts
import atoll.federation
import atoll.ledger
import atoll.releases
from atoll.config.decode import FOREIGN, OWN, decode_json
from atoll.coordinator.status.values import Snapshot
from atoll.errors import AtollError, LedgerError
from atoll.experts.card import ExpertCard
from atoll.experts.documents import SignedDocument
from atoll.federation.units import Choice, EvaluateReply, Unit
from atoll.ledger import ExpertFlagged, Fact
from atoll.ledger.fact import fact_from_json

NOT_FINITE = ("NaN", "Infinity", "-Infinity", "1e999", "-1e999")
TOO_LARGE = ("1e308", "-1e308", "1" + "0" * 30, "-1" + "0" * 30, "1" + "0" * 400, "1" + "0" * 5000)
NO_COUNT = ("-1", "1.5", "true", '"1"', "null")
Path = tuple[str | int, ...]


def below(base: type) -> Iterator[type]:
    """The classes that Atoll itself derives from one, without those that nothing can be an instance of."""
    derived: list[type] = type.__subclasses__(base)
    for each in derived:
        if each.__module__.startswith("atoll.") and not inspect.isabstract(each):
            yield each
        yield from below(each)


PACKAGES: list[types.ModuleType] = [
    atoll.clients,
    atoll.coordinator,
    atoll.experts,
    atoll.federation,
    atoll.ledger,
    atoll.releases,
]


def imported() -> None:
    for package in PACKAGES:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "migrations" not in module.name and "__main__" not in module.name:
                importlib.import_module(module.name)


imported()
KINDS = sorted(set(below(Unit)) | set(below(Fact)) | set(below(SignedDocument)), key=lambda kind: kind.__qualname__)


def sample(hint: Any) -> Any:
    """A plausible value of a type, with every list and mapping filled."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return sample(inner[0])
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = typing.get_type_hints(hint)
        made: dict[str, Any] = {}
        for each in dataclasses.fields(hint):
            default = default_of(each)
            keeps = isinstance(default, str | bool | int | float) or (isinstance(default, list | dict) and default)
            made[each.name] = default if keeps else sample(hints[each.name])
        return made
    if origin in (list, tuple):
        return [sample(inner[0])]
    if origin is dict:
        return {"name": 0.5 if inner[1] is Any else sample(inner[1])}
    return {int: 3, float: 0.5, str: "text", bool: False}[hint]


def example(kind: type) -> Any:
    """A sample that its own checks allow."""
    made = sample(kind)
    for each in (made, made.get("unit")) if isinstance(made.get("unit"), dict) else (made,):
        if isinstance(each.get("audit"), dict) and "measurements" in each:
            each["measurements"][0]["name"] = each["audit"]["release"]
    return made


def default_of(each: "dataclasses.Field[Any]") -> Any:
    if each.default is not dataclasses.MISSING:
        return each.default
    return each.default_factory() if each.default_factory is not dataclasses.MISSING else None


def numbers(value: Any, path: Path = ()) -> Iterator[Path]:
    """Where numbers are in a plain value."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from numbers(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from numbers(item, (*path, index))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path


def held(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def changed(value: Any, path: Path, text: str) -> str:
    """The value as JSON, with a text in the place of one number."""
    copy = json.loads(json.dumps(value))
    if not path:
        return text
    held(copy, path[:-1])[path[-1]] = "@@@"
    return json.dumps(copy).replace('"@@@"', text)


def read(kind: type, text: str) -> Any:
    """As whoever receives it reads it; what goes between a node's own processes has wider limits."""
    if issubclass(kind, Unit):
        return kind.from_json(text)
    # A document's signature is looked at after that; a ledger reads what is older than the limits.
    return decode_json(text, kind, kind.__name__, FOREIGN)


def refused(reader: Callable[..., object], *arguments: object) -> bool:
    try:
        reader(*arguments)
    except AtollError:
        return True
    return False


CASES = [(kind, path) for kind in KINDS for path in numbers(sample(kind))]


def test_there_is_something_to_walk() -> None:
    names = {kind.__name__ for kind in KINDS}
    assert {"Request", "Reply", "TrainUnit", "EvaluateUnit", "EvaluateReply", "Release", "Statement"} <= names
    assert {"ExpertFlagged", "Released", "Transferred"} <= names
    assert len(CASES) > 80
    for kind in KINDS:
        read(kind, json.dumps(example(kind)))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_number_of_a_message(kind: type) -> None:
    whole = example(kind)
    for path in numbers(whole):
        counts = isinstance(held(whole, path), int)
        option = "options" in path
        for text in (*NOT_FINITE, *TOO_LARGE, *(NO_COUNT if counts and not option else ())):
            if option and text in NOT_FINITE[1:] and kind.__name__ == "Release":
                continue  # earlier versions wrote infinite options of routers so
            if text == "null" and nullable(kind, path):
                continue
            if text in (*TOO_LARGE, "-1") and getattr(kind, "limits", FOREIGN) == OWN:
                continue
            assert refused(read, kind, changed(whole, path, text)), f"{kind.__name__}.{path} takes {text[:40]}"


def nullable(kind: type, path: Path) -> bool:
    hint: Any = kind
    for step in path:
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            hint = typing.get_type_hints(hint)[str(step)]
        else:
            hint = typing.get_args(hint)[-1]
        if typing.get_origin(hint) is types.UnionType:
            inner = typing.get_args(hint)
            if step == path[-1] and type(None) in inner:
                return True
            hint = inner[0]
    return False


def test_long_lists_mappings_and_texts_are_refused() -> None:
    long = 10_001
    for reply in (
        {"missing": ["x"] * long},
        {"loss": {str(each): 0.5 for each in range(long)}},
        {"missing": ["x" * ((1 << 24) + 1)]},
    ):
        with pytest.raises(AtollError):
            EvaluateReply.from_json(json.dumps(reply))
    deep: Any = 1
    for _ in range(50):
        deep = [deep]
    with pytest.raises(AtollError):
        decode_json(json.dumps({"name": "x", "options": {"k": deep}}), Choice, "x", FOREIGN)


def test_every_number_of_a_card() -> None:
    card = {
        **{"format": 1, "owner": "clinic", "domain": "x", "anchor": f"sha256:{'a' * 64}", "kind": "lora"},
        **{"sites": ["m.a"], "targets": ["m.a"], "settings": {"rank": 2, "alpha": 4.0}, "workload": "text"},
        "documents": {"train": 3, "validation": 1, "test": 1},
        "tokens": {"train": 30, "validation": 10, "test": 10},
        "training": {"steps": 3, "rate": 0.5},
        "metrics": {"loss": 0.5},
        "privacy": {"epsilon": 8.0, "delta": 1e-5},
        "licence": "x",
        "consent": {"purposes": ["any"], "until": None, "statement": ""},
    }
    ExpertCard.from_yaml(yaml.safe_dump(card).encode())
    spelled = {"NaN": ".nan", "Infinity": ".inf", "-Infinity": "-.inf", "1e999": "1.0e+999", "-1e999": "-1.0e+999"}
    large = {"1e308": "1.0e+308", "-1e308": "-1.0e+308"}
    for path in numbers(card):
        texts = [spelled[each] for each in NOT_FINITE] + [large.get(each, each) for each in TOO_LARGE]
        texts += ["-1", "1.5"] if path[0] in ("documents", "tokens", "format") else []
        for text in texts:
            copy = json.loads(json.dumps(card))
            held(copy, path[:-1])[path[-1]] = "@@@"
            written = yaml.safe_dump(copy).replace("'@@@'", text).encode()
            assert refused(ExpertCard.from_yaml, written), f"{path} takes {text[:40]}"


def test_every_number_of_a_status() -> None:
    whole = sample(Snapshot)
    Snapshot.from_json(json.dumps(whole))
    for path in numbers(whole):
        for text in NOT_FINITE:
            with pytest.raises(AtollError):
                Snapshot.from_json(changed(whole, path, text))


def test_nothing_that_is_not_finite_is_written() -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(AtollError):
            EvaluateReply(loss={"all": value}).to_json()
        with pytest.raises(LedgerError):
            ExpertFlagged(owner="a", expert="b", by="c", added=value).to_json()


def test_an_infinite_harm_that_an_earlier_version_wrote_is_the_largest() -> None:
    text = '{"added":Infinity,"by":"c","expert":"b","owner":"a"}'
    fact = fact_from_json("expert-flagged", text)
    assert isinstance(fact, ExpertFlagged)
    assert fact.added == FOREIGN.magnitude
    assert "Infinity" not in fact.to_json()


def test_infinite_options_of_routers_are_spelled() -> None:
    choice = Choice(name="domain", options={"anchor": float("-inf")})
    assert Choice(name="domain", options={"anchor": "-inf"}) == choice
