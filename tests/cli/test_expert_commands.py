import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from atoll.cli.expert import app
from atoll.errors import AtollError, ConfigError, PackageError
from atoll.experts.card import Consent, ExpertCard
from atoll.experts.package import write_package
from atoll.experts.signing import OwnerKey, PublicKey
from atoll.mixture.descriptor import Descriptor

ANCHOR = "sha256:" + "ab" * 32
SITE = "model.layers.0.mlp"


@pytest.fixture
def key(tmp_path: Path) -> OwnerKey:
    key = OwnerKey.generate()
    key.save(tmp_path / "owner.key")
    key.public.save(tmp_path / "owner.key.pub")
    return key


@pytest.fixture
def package(tmp_path: Path, key: OwnerKey) -> Path:
    counts = {"train": 8000, "validation": 1, "test": 1}
    card = ExpertCard(
        owner="st-mary",
        domain="Diagnoses [bold]not markup[/bold]",
        anchor=ANCHOR,
        kind="ffn",
        sites=(SITE,),
        targets=(SITE,),
        settings={},
        workload="text",
        documents=counts,
        tokens=counts,
        training={"steps": 3},
        metrics={"validation_loss": 2.25},
        privacy=None,
        licence="CC-BY-4.0",
        consent=Consent(purposes=("research",), until=None, statement="May be withdrawn."),
    )
    mean, variance = torch.zeros(1, 2), torch.ones(1, 2)
    descriptor = Descriptor(embedder="anchor-states", samples=4, tokens=40, sites=(SITE,), mean=mean, variance=variance)
    path = tmp_path / "hospital.atoll"
    write_package(path, card=card, weights={f"{SITE}.w": torch.ones(2, 2)}, descriptor=descriptor, key=key)
    return path


def run(*arguments: object) -> str:
    """Output of a command that succeeds."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "100"})
    assert result.exit_code == 0, result.output
    return result.output


def fail(*arguments: object) -> AtollError:
    """The refusal of a command that fails; the program's top level prints it and exits with its code."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(result.exception, AtollError), result.output
    return result.exception


def test_show_tells_what_is_in_a_package(package: Path, key: OwnerKey) -> None:
    output = run("show", package)
    for expected in ("st-mary", "[bold]not markup[/bold]", ANCHOR, key.public.fingerprint, "1 tensors, 16 bytes"):
        assert expected in output
    assert "train 8,000" in output
    assert "4 samples" in output


def test_verify_accepts_the_owner_by_digits_and_by_file(package: Path, key: OwnerKey) -> None:
    for given in (key.public.hex, f"{package.parent}/owner.key.pub"):
        assert "verified, sha256:" in run("verify", package, "--key", given, "--anchor", ANCHOR)
    assert key.public.fingerprint in run("verify", package)


def test_verify_refuses_with_exit_code_4(package: Path) -> None:
    other = OwnerKey.generate().public.hex
    for refusal in (
        fail("verify", package, "--key", other),
        fail("verify", package, "--anchor", "sha256:" + "cd" * 32),
    ):
        assert isinstance(refusal, PackageError)
        assert refusal.exit_code == 4
        assert str(refusal).startswith(str(package))
    package.write_bytes(package.read_bytes()[:-1])
    assert "cut short" in str(fail("verify", package))


def test_mistaken_options_are_no_refusal_of_the_package(package: Path) -> None:
    assert isinstance(fail("verify", package, "--anchor", "smollm2"), ConfigError)
    assert isinstance(fail("verify", package, "--key", "nowhere.pub"), ConfigError)
    assert isinstance(fail("verify", package, "--key", f"{package.parent}/owner.key"), ConfigError)


def test_an_air_gapped_owner_needs_files_only(package: Path, tmp_path: Path) -> None:
    folder, key, packed = tmp_path / "folder", tmp_path / "new.key", tmp_path / "again.atoll"
    digest = run("unpack", package, folder).split()[1].rstrip(",")
    output = run("key", "new", key)
    public = PublicKey.load(tmp_path / "new.key.pub")
    assert public.hex in output
    assert digest in run("pack", folder, "--key", key, "--out", packed)
    assert digest in run("verify", packed, "--key", public.hex)
    assert "not by the trusted key" in str(fail("unpack", packed, tmp_path / "x", "--key", f"{tmp_path}/owner.key.pub"))


def test_a_key_is_made_once(tmp_path: Path) -> None:
    run("key", "new", tmp_path / "a.key")
    before = (tmp_path / "a.key").read_bytes(), (tmp_path / "a.key.pub").read_bytes()
    assert "never overwritten" in str(fail("key", "new", tmp_path / "a.key"))
    (tmp_path / "b.key.pub").write_text("something else")
    assert "never overwritten" in str(fail("key", "new", tmp_path / "b.key"))
    assert not (tmp_path / "b.key").exists()
    assert before == ((tmp_path / "a.key").read_bytes(), (tmp_path / "a.key.pub").read_bytes())


@pytest.mark.parametrize("command", [["show"], ["verify"], ["pack"], ["unpack"], ["key", "new"]])
def test_help_has_an_example(command: list[str]) -> None:
    assert f"Example: atoll expert {' '.join(command)} hospital" in run(*command, "--help")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom atoll.cli.expert import app\n"
        "assert CliRunner().invoke(app, ['show', '--help']).exit_code == 0\n"
        "print([name for name in ('torch', 'cryptography', 'yaml', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
