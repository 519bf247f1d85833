"""What owners measured of a release's privacy, as a table for the page and the terminal alike."""

from collections.abc import Mapping

from atoll.coordinator.report.tables import Grid
from atoll.coordinator.report.wording import NOTHING

INTERVALS = (
    "In brackets 95 % intervals. Membership: 0.5 is a guess; found at 1 %: of those trained on, while one in a hundred "
    "others is accused. Measured by each owner on its own data, and signed by nobody."
)

_ATTACKS = {"loss": "by loss", "calibrated": "by loss against the anchor's", "replay": "from published replay"}
_SHARES = {
    "extraction": "training documents given back",
    "extraction_held_out": "other documents given back (guessed)",
    "extraction_replay": "replay held back, too near the training data",
}


def privacy_grid(audits: Mapping[str, Mapping[str, float]]) -> Grid:
    """A row for each thing that any owner measured, a column for each owner."""
    owners = sorted(audits)
    rows = []
    for title, cell in _MEASURES.items():
        cells = [_cell(audits[owner], *cell) for owner in owners]
        if any(text != NOTHING for text in cells):
            rows.append([title, *cells])
    return Grid(columns=["measured", *owners], rows=rows, summary=[])


def _measures() -> dict[str, tuple[str, str, str, str]]:
    """By title: the figure's name, its interval's two ends and its form."""
    found = {}
    for attack, how in _ATTACKS.items():
        name = f"membership_{attack}"
        found[f"asked {how}: trained on"] = (f"{name}_members", "", "", ",.0f")
        found[f"asked {how}: others"] = (f"{name}_non_members", "", "", ",.0f")
        found[f"membership {how}, AUC"] = (f"{name}_auc", f"{name}_auc_low", f"{name}_auc_high", ".3f")
        rate = f"{name}_true_positives"
        found[f"membership {how}, found at 1 %"] = (rate, f"{rate}_low", f"{rate}_high", ".1%")
    for name, title in _SHARES.items():
        found[title] = (f"{name}_rate", f"{name}_low", f"{name}_high", ".1%")
    for side, whose in (("generated", "generated"), ("baseline", "other people's")):
        for share, what in (("unique", "match one person"), ("matched", "match anyone")):
            name = f"uniqueness_{side}_{share}"
            found[f"{whose} trajectories that {what}"] = (name, f"{name}_low", f"{name}_high", ".1%")
        found[f"{whose} trajectories, longest run shared"] = (f"uniqueness_{side}_run_longest", "", "", ",.0f")
    return found


_MEASURES = _measures()


def _cell(figures: Mapping[str, float], name: str, low: str, high: str, form: str) -> str:
    if name not in figures:
        return NOTHING
    value = format(figures[name], form)
    if low in figures and high in figures:
        return f"{value} [{format(figures[low], form)}, {format(figures[high], form)}]"
    return value
