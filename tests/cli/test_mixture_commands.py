import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.coordinator.releases.conftest import save_anchor, save_expert
from typer.testing import CliRunner

from atoll.cli.expert import app as expert_app
from atoll.cli.mixture import app
from atoll.coordinator.audits import write_audits
from atoll.errors import AnchorError, AtollError, ConfigError, DataError, MixtureError, PackageError, PluginError
from atoll.experts.package import read_package
from atoll.experts.signing import OwnerKey

OWNERS = ("clinic", "library", "office")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an anchor, an expert of each owner, and a key of the clinic's."""
    folder = tmp_path_factory.mktemp("made")
    anchor = save_anchor(folder / "anchor", "olmo2")
    key = OwnerKey.generate()
    key.public.save(folder / "clinic.pub")
    for owner in OWNERS:
        save_expert(folder / f"{owner}.atoll", anchor, owner, key=key if owner == "clinic" else None)
    save_expert(folder / "lora.atoll", anchor, "workshop", "lora")
    save_expert(folder / "late.atoll", anchor, "workshop", layers=[2])
    save_expert(folder / "twin.atoll", anchor, "clinic", layers=[2])
    save_expert(folder / "ended.atoll", anchor, "archive", until="2001-01-31")
    other = save_anchor(folder / "other", "llama")
    save_expert(folder / "foreign.atoll", other, "embassy")
    return folder


@pytest.fixture(autouse=True)
def _quiet_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATOLL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def run(*arguments: object) -> str:
    """Output of a command that succeeds."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "160"})
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def said(*arguments: object) -> str:
    """What a command that succeeds says on standard error."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "160"})
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stderr


def fail(*arguments: object) -> AtollError:
    """The refusal of a command that fails; the program's top level prints it and exits with its code."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(result.exception, AtollError), (result.output, result.exception)
    return result.exception


def build(made: Path, *more: object, out: str = "mix", owners: tuple[str, ...] = OWNERS) -> str:
    files = [made / f"{owner}.atoll" for owner in owners]
    return run("build", *files, "--anchor", made / "anchor", "--out", out, *more)


def test_build_says_what_was_made_and_whose_signer_was_not_checked(made: Path) -> None:
    output = build(made, "--key", f"clinic={made / 'clinic.pub'}")
    assert "mix: sha256:" in output
    assert "withdrawal guarantee: exact" in output
    for owner in OWNERS:
        assert read_package(made / f"{owner}.atoll", trusted=None).digest in output
    assert "not checked for library, office;" in output
    keys = [f"--key={owner}={read_package(made / f'{owner}.atoll', trusted=None).public_key.hex}" for owner in OWNERS]
    assert "not checked" not in build(made, *keys, out="vouched")


def test_the_same_packages_give_the_same_digest_in_any_order_and_spelling(made: Path) -> None:
    first = build(made, "--router", "top-k", "--option", "gain=3", "--option", "renormalise=no", out="a")
    again = build(
        made, "--router", "top-k", "--option", "renormalise=False", "--option", "gain=3.0", out="b", owners=OWNERS[::-1]
    )
    other = build(made, "--router", "top-k", "--option", "gain=3.5", "--option", "renormalise=no", out="c")
    digests = [output.split()[1] for output in (first, again, other)]
    assert digests[0] == digests[1] != digests[2]


def test_show_needs_no_anchor_and_shows_all_there_is_to_know(made: Path, tmp_path: Path) -> None:
    digest = build(made, "--option", "k=2").split()[1]
    raw = json.loads(Path("mix/release.json").read_text(encoding="utf-8"))
    Path("mix/release.json").write_text(json.dumps({**raw, "anchor_name": "/gone"}), encoding="utf-8")
    Path("mix/envelope.json").unlink()
    output = run("show", "mix", "--unsigned")
    fingerprint = read_package(made / "office.atoll", trusted=None).public_key.fingerprint
    for expected in ("Release 1", digest, "/gone", "flexolmo", "naive-bayes (k 2)", "exact", "What a library writes"):
        assert expected in output
    assert "CC0-1.0" in output
    assert fingerprint[:9] in output
    assert "for tests, until" in output


def test_show_has_one_panel_of_what_owners_measured(made: Path, tmp_path: Path) -> None:
    run("build", made / "clinic.atoll", made / "office.atoll", "--anchor", made / "anchor", "--out", "release")
    assert "Privacy, as measured" not in run("show", "release")
    write_audits(tmp_path / "release", {"clinic": {"membership_loss_auc": 0.525, "extraction_rate": 0.0}})
    shown = run("show", "release")
    assert shown.count("Privacy, as measured") == 1
    assert "0.525" in shown
    expert = CliRunner().invoke(expert_app, ["show", "release/experts/clinic.atoll"], env={"COLUMNS": "160"})
    assert "0.525" in expert.stdout
    alone = CliRunner().invoke(expert_app, ["show", str(made / "clinic.atoll")], env={"COLUMNS": "160"})
    assert "Privacy, as measured" not in alone.stdout
    assert "nothing is kept" in alone.stdout


def test_evaluate_measures_files_under_an_entitlement(made: Path) -> None:
    build(made, "--router", "uniform")
    Path("notes").mkdir()
    Path("notes/a.jsonl").write_text(
        "".join(json.dumps({"body": f"note {n} of the clinic" * 4}) + "\n" for n in range(9)), encoding="utf-8"
    )
    ask = ("evaluate", "mix", "notes", "--field", "body")
    found = json.loads(run(*ask, "--json", "--windows", "3"))
    assert found["windows"] == 3
    assert found["documents"] == 9
    assert found["shares"] == pytest.approx(dict.fromkeys(("anchor", *OWNERS), 0.25))
    one = json.loads(run(*ask, "--json", "--entitlement", "clinic"))
    without = json.loads(run(*ask, "--json", "--without", "office", "--without", "library"))
    assert one["mixture"] == pytest.approx(without["mixture"], rel=1e-5)
    assert without["owners"] == ["clinic"]
    assert json.loads(run(*ask, "--json", "--entitlement", "none"))["mixture"] == pytest.approx(one["anchor"], rel=1e-5)
    table = run(*ask)
    for expected in ("anchor", "mixture", "Who contributed", "25.0%", f"{found['anchor']:.1f}"):
        assert expected in table


def test_generate_answers_and_says_who_contributed(made: Path) -> None:
    build(made, "--router", "uniform")
    ask = ("generate", "mix", "the clerk", "--tokens", "8")
    assert run(*ask) == run(*ask)
    assert "%" not in run(*ask), "shares are told apart from the text"
    assert "25.0%" in said(*ask)
    half = said(*ask, "--entitlement", "office")
    assert half.count("50.0%") == 2
    assert "clinic" not in said(*ask, "--without", "clinic")
    sampled = ("--temperature", "2", "--top-p", "0.9", "--seed")
    assert run(*ask, *sampled, 1) == run(*ask, *sampled, 1) != run(*ask, *sampled, 2)


def test_generate_answers_lines_of_the_input_as_json(made: Path) -> None:
    build(made, "--router", "uniform")
    ask = ("generate", "mix", "-", "--json", "--tokens", "3", "--entitlement", "office")
    result = CliRunner().invoke(app, ask, input="the clerk\nhe\n")
    assert result.exit_code == 0, result.output
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert (first["prompt"], second["prompt"]) == ("the clerk", "he")
    assert first["shares"] == pytest.approx({"anchor": 0.5, "clinic": 0.0, "library": 0.0, "office": 0.5})
    assert first["entitlement"] == ["office"]
    assert first["release"].startswith("sha256:")
    assert first["text"] + "\n" == run("generate", "mix", "the clerk", "--tokens", "3", "--entitlement", "office")


def test_export_writes_a_checkpoint(made: Path) -> None:
    build(made, "--router", "top-k")
    assert "out: FlexOlmoForCausalLM" in run("export", "mix", "out", "--without", "office")
    assert json.loads(Path("out/config.json").read_text(encoding="utf-8"))["num_experts"] == 3
    assert "--router top-k" in str(fail("export", _domain(made), "other"))


def _domain(made: Path) -> str:
    build(made, "--router", "domain", out="domain")
    return "domain"


def test_integrators_have_options_too(made: Path) -> None:
    build(made, "--integrator", "ensemble", "--integrator-option", "weighting=uniform", "--router", "uniform")
    output = said("generate", "mix", "he", "--tokens", "2")
    assert output.count("33.3%") == 3
    Path("a.txt").write_text("a clerk " * 40, encoding="utf-8")
    assert "No token is routed: ensemble" in run("evaluate", "mix", "a.txt")


@pytest.mark.parametrize(
    ("packages", "more", "kind", "reason"),
    [
        (["clinic", "nowhere"], [], PackageError, "nowhere.atoll: is not there"),
        (["clinic", "foreign"], [], PackageError, "foreign.atoll: was trained against anchor"),
        (["clinic", "lora"], [], MixtureError, "one kind; here are ffn, lora"),
        (["clinic", "late"], [], MixtureError, "other modules than that of 'clinic'"),
        (["clinic", "twin"], [], MixtureError, "both of 'clinic'"),
        (["clinic", "ended"], [], MixtureError, "'archive' ended on 2001-01-31"),
        (["clinic"], ["--key", "library={key}"], ConfigError, "no package: there are clinic"),
        (["library"], ["--key", "library={key}"], PackageError, "not by library's key"),
        (["clinic"], ["--key", "clinic"], ConfigError, "OWNER=KEY"),
        (["clinic"], ["--key", "clinic=nowhere.pub"], ConfigError, "nowhere.pub"),
        (["clinic"], ["--option", "temprature=2"], ConfigError, "did you mean 'temperature'"),
        (["clinic"], ["--option", "temperature=warm"], ConfigError, "warm"),
        (["clinic"], ["--option", "temperature=-2"], ConfigError, "must be positive"),
        (["clinic"], ["--option", "temperature"], ConfigError, "KEY=VALUE"),
        (["clinic"], ["--option", "k=1", "--option", "k=2"], ConfigError, "'k' twice"),
        (["clinic"], ["--router", "topk"], PluginError, "did you mean 'top-k'"),
        (["clinic"], ["--integrator", "soap"], PluginError, "did you mean 'soup'"),
        (["clinic"], ["--integrator-option", "a=b"], ConfigError, "no option 'a'"),
    ],
)
def test_build_refuses_what_does_not_fit(
    made: Path, packages: list[str], more: list[str], kind: type[AtollError], reason: str
) -> None:
    files = [made / f"{name}.atoll" for name in packages]
    given = [part.format(key=made / "clinic.pub") for part in more]
    refusal = fail("build", *files, "--anchor", made / "anchor", "--out", "mix", *given)
    assert isinstance(refusal, kind)
    assert reason in str(refusal)
    assert not Path("mix").exists()


def test_build_refuses_the_wrong_anchor_and_a_folder_in_use(made: Path) -> None:
    package = made / "clinic.atoll"
    assert isinstance(fail("build", package, "--anchor", made / "nowhere", "--out", "mix"), AnchorError)
    assert "use the same anchor" in str(fail("build", package, "--anchor", made / "other", "--out", "mix"))
    assert "atoll expert pack" in str(fail("build", made, "--anchor", made / "anchor", "--out", "mix"))
    build(made)
    build(made)  # the same again is no mistake
    assert "immutable" in str(fail("build", package, "--anchor", made / "anchor", "--out", "mix"))
    assert "no release" in str(fail("build", package, "--anchor", made / "anchor", "--out", made))


def test_an_opened_release_refuses_bad_requests(made: Path) -> None:
    build(made)
    Path("a.txt").write_text("some text", encoding="utf-8")
    Path("empty.txt").write_text("\n", encoding="utf-8")
    expected: list[tuple[type[AtollError], str, tuple[Any, ...]]] = [
        (MixtureError, "no release", ("show", "nowhere")),
        (MixtureError, "no release", ("generate", "nowhere", "he")),
        (MixtureError, "offce", ("generate", "mix", "he", "--entitlement", "clinic,offce")),
        (MixtureError, "offce", ("generate", "mix", "he", "--without", "offce")),
        (MixtureError, "office", ("generate", "mix", "he", "--without", "office", "--entitlement", "office")),
        (AnchorError, "made with anchor", ("evaluate", "mix", "a.txt", "--anchor", made / "other")),
        (ConfigError, "b.txt", ("evaluate", "mix", "b.txt")),
        (ConfigError, "at most 64", ("evaluate", "mix", "a.txt", "--length", "65")),
        (ConfigError, "format='jsnl'", ("evaluate", "mix", "a.txt", "--format", "jsnl")),
        (DataError, "", ("evaluate", "mix", "empty.txt")),
        (ConfigError, "--device", ("generate", "mix", "he", "--device", "gpu9")),
        (ConfigError, "top_p", ("generate", "mix", "he", "--top-p", "2")),
        (MixtureError, "not an empty folder", ("export", "mix", "mix")),
    ]
    for kind, reason, arguments in expected:
        refusal = fail(*arguments)
        assert isinstance(refusal, kind), arguments
        assert reason in str(refusal)
    packages = Path("mix/experts/office.atoll")
    packages.write_bytes(packages.read_bytes()[:-1])
    assert "office.atoll: is cut short" in str(fail("show", "mix"))


@pytest.mark.parametrize("command", ["build", "show", "evaluate", "generate", "export"])
def test_help_has_an_example(command: str) -> None:
    assert f"Example: atoll mixture {command} " in run(command, "--help")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom atoll.cli.mixture import app\n"
        "assert CliRunner().invoke(app, ['build', '--help']).exit_code == 0\n"
        "print([name for name in ('torch', 'transformers', 'cryptography', 'yaml', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
