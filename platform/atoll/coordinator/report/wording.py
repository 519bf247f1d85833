"""Figures as people read them."""

import math

from atoll.coordinator.results import ANCHOR, MIXTURE, OWN, WITHOUT, RunResults

NOTHING = "–"
"""Stands where a figure is not known."""
_STEP = 1024
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def loss_text(loss: float | None) -> str:
    """A loss in nats."""
    return NOTHING if loss is None else f"{loss:.3f}"


def share_text(share: float | None) -> str:
    """A share of 1 in per cent."""
    return NOTHING if share is None else f"{100 * share:.1f} %"


def over_text(known: int, silos: int) -> str:
    """What a mean is over, behind it; nothing where that is all silos, or none."""
    return f" ({known} of {silos})" if 0 < known < silos else ""


def difference_text(difference: float) -> str:
    """A difference that may be nought, or nearly."""
    return "0" if difference == 0 else f"{difference:.2g}"


def size_unit(size: float) -> tuple[str, int]:
    """The unit in which a number of bytes reads well, and how many bytes it is."""
    place = 0
    while size >= _STEP ** (place + 1) and place + 1 < len(_UNITS):
        place += 1
    return _UNITS[place], _STEP**place


def size_text(size: float) -> str:
    """A number of bytes."""
    unit, of_bytes = size_unit(size)
    return f"{size:,.0f} {unit}" if of_bytes == 1 else f"{size / of_bytes:,.1f} {unit}"


def time_text(seconds: float) -> str:
    """A time in the two units that matter."""
    if not math.isfinite(seconds) or seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def ordered_models(results: RunResults) -> list[str]:
    """The measured models as they are shown: anchor, own expert, mixture, baselines, the mixture without each owner."""
    rank = {ANCHOR: 0, OWN: 1, MIXTURE: 2}
    return sorted(results.models, key=lambda model: 4 if model.startswith(WITHOUT) else rank.get(model, 3))


def whole_models(results: RunResults) -> list[str]:
    """:func:`ordered_models`, less the mixtures without an owner."""
    return [model for model in ordered_models(results) if not model.startswith(WITHOUT)]


def baselines(results: RunResults) -> list[str]:
    """What the mixture is held against."""
    return [model for model in whole_models(results) if model not in (ANCHOR, OWN, MIXTURE)]


def routed_slots(results: RunResults) -> list[str]:
    """The slots that any silo's text was routed to: the anchor, then the owners."""
    found = dict.fromkeys(slot for shares in results.routing.values() for slot in shares)
    return sorted(found, key=lambda slot: slot != ANCHOR)


def kinds_sent(results: RunResults) -> list[str]:
    """What kinds of thing left any silo, the largest in all first."""
    sums: dict[str, int] = {}
    for of_silo in results.left.values():
        for what, size in of_silo.items():
            sums[what] = sums.get(what, 0) + size
    return sorted(sums, key=lambda what: (-sums[what], what))
