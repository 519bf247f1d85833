"""The four source roots meet as one import package, which a stray module would break."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("root", ["platform", "clients", "strategies", "benchmarks"])
def test_no_module_stands_directly_in_a_source_root(root: str) -> None:
    stray = [*(ROOT / root).glob("*.py"), *(ROOT / root / "atoll").glob("*.py")]
    assert not stray, "an __init__.py here hides the other roots, or Python's own `platform`"


def test_every_package_has_an_init() -> None:
    folders = {
        path.parent
        for root in ("platform", "clients", "strategies", "benchmarks")
        for path in ROOT.glob(f"{root}/atoll/*/**/*.py")
    }
    assert not [str(folder) for folder in folders if not (folder / "__init__.py").exists()]
