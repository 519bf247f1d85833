"""What the README tells people to write and to type is so."""

import re
import tomllib
from pathlib import Path

import pytest

from atoll.config import read_config
from atoll.coordinator.config import RunConfig
from atoll.plugins import names
from atoll.workloads.text import TextConfig

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


BLOCKS = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)


def test_its_configuration_is_one(tmp_path: Path) -> None:
    (tmp_path / "federation.yaml").write_text(BLOCKS[0])
    config = read_config(RunConfig, tmp_path / "federation.yaml", ["seed=1", "training.steps=800", "output=runs/again"])
    config.check()
    assert [silo.name for silo in config.silos] == ["north", "south"]
    assert isinstance(config.silos[1].data, TextConfig)
    assert config.silos[1].data.field == "body"
    assert (config.seed, config.training.steps, config.output) == (1, 800, "runs/again")


def test_its_stream_is_one(tmp_path: Path) -> None:
    (tmp_path / "cities.yaml").write_text(BLOCKS[1])
    config = read_config(RunConfig, tmp_path / "cities.yaml", ["withdraw=porto", "stream.rebuild=true"])
    config.check()
    assert config.stream.owners == [silo.name for silo in config.silos] == ["lisbon", "porto", "braga"]
    said = README.split("Baselines need everyone's data in one place")[1].split("\n\n")[0]
    assert sorted(re.findall(r"`([a-z-]+)`", said)) == list(names("atoll.baselines"))


def test_every_folder_has_its_line() -> None:
    named = {ROOT / path for path in re.findall(r"^\| `([a-z_/]+)` \|", README, re.MULTILINE)}
    parts = {folder for folder in (ROOT / "platform" / "atoll").iterdir() if (folder / "__init__.py").exists()}
    assert parts <= named
    assert not [str(path) for path in named if not path.is_dir()]


def test_its_entry_point_is_where_atoll_looks() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    assert set(tomllib.loads(block)["project"]["entry-points"]) <= set(ours)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:docs|platform)/[\w./]+\.\w+)`", README))))
def test_its_files_are_there(path: str) -> None:
    assert (ROOT / path).is_file()
