"""Three silos of small synthetic text, each with words of its own."""

import json
import random
from pathlib import Path

from atoll.workloads.text import TextConfig

_WORDS = {
    "clinic": "fever dose chart nurse wound patient ward pulse fracture acute chronic left right unspecified",
    "court": "party clause liable hereby warrant terminate licence agreement shall notice damages consent",
    "yard": "anchor rope tide harbour keel mast sail cargo crew deck hull wind north berth",
}


def toy_silos(folder: Path, *, documents: int = 120, words: int = 60) -> dict[str, TextConfig]:
    """Write the silos' text below ``folder``.

    Args:
        folder: Each silo gets a folder of its own in it.
        documents: How many each has.
        words: Of a document.

    Returns:
        How to read it, by silo: windows of 32 tokens.
    """
    configs = {}
    for name, known in _WORDS.items():
        draw = random.Random(name)
        own = folder / name
        own.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"text": " ".join(draw.choices(known.split(), k=words))}) for _ in range(documents)]
        (own / "notes.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        configs[name] = TextConfig(paths=[str(own)], validation=0.1, test=0.1, sequence_length=32)
    return configs
