"""A card that is refused costs the coordinator's only loop little, however it is made up."""

import pytest
import yaml

from atoll.errors import PackageError
from atoll.experts import strict_yaml


@pytest.mark.parametrize(
    "card",
    [
        b"a: [" + b"1," * 260_000 + b"1]",
        b"a: {" + b"".join(b"k%d: 1," % number for number in range(50_000)) + b"}",
        b"".join(b"k%d: 1\n" % number for number in range(50_000)),
        b"- " * 250_000,
    ],
    ids=["commas", "a mapping", "keys", "nested"],
)
def test_no_more_values_are_read_than_a_card_needs(card: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(card) <= strict_yaml.LIMIT_BYTES or len(card) < 600_000
    read = 0
    real = yaml.parse

    def counted(*arguments: object, **more: object) -> object:
        nonlocal read
        for event in real(*arguments, **more):  # type: ignore[arg-type]
            read += 1
            yield event

    monkeypatch.setattr(yaml, "parse", counted)
    with pytest.raises(PackageError):
        strict_yaml.load(card[: strict_yaml.LIMIT_BYTES])
    assert read <= 50_010
