"""Reading configurations: what is accepted, and what a refusal says."""

import enum
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import MISSING

from atoll.config import read_config, to_yaml
from atoll.coordinator.config import RunConfig
from atoll.errors import ConfigError


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclass(frozen=True)
class Training:
    steps: int = 100
    rate: float = 1e-3
    shuffle: bool = True


@dataclass(frozen=True)
class Silo:
    name: str = MISSING
    paths: list[str] = field(default_factory=list)
    until: str | None = None
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Plugin:
    name: str = "top-k"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    title: str = "a run"
    seed: int = 0
    colour: Colour = Colour.RED
    training: Training = field(default_factory=Training)
    silos: list[Silo] = field(default_factory=list)
    router: Plugin = field(default_factory=Plugin)
    baselines: list[str] = field(default_factory=lambda: ["soup"])


@dataclass(frozen=True, kw_only=True)
class Node:
    owner: str
    training: Training
    threads: int = 1


FULL = """\
title: Four silos  # a comment
colour: BLUE
training:
  steps: 7
  rate: 1e-2
silos:
  - name: hospital
    paths: [a/*.txt, b]
    weights: {x: 1, y: 2.5}
  - name: library
    until: 2031-01-01
router:
  name: domain
  options: {temperature: 1e-1, deep: {list: [1, two]}}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str, *overrides: str, schema: type = Run) -> str:
    path = write(folder, text)
    with pytest.raises(ConfigError) as caught:
        read_config(schema, path, overrides)
    return str(caught.value).replace(str(path), "FILE")


def test_a_file_goes_over_the_defaults(tmp_path: Path) -> None:
    config = read_config(Run, write(tmp_path, FULL), [])
    assert config == Run(
        title="Four silos",
        colour=Colour.BLUE,
        training=Training(steps=7, rate=0.01),
        silos=[
            Silo(name="hospital", paths=["a/*.txt", "b"], weights={"x": 1.0, "y": 2.5}),
            Silo(name="library", until="2031-01-01"),
        ],
        router=Plugin(name="domain", options={"temperature": 0.1, "deep": {"list": [1, "two"]}}),
    )
    assert isinstance(config.silos[0], Silo)
    assert isinstance(config.silos[0].weights["x"], float)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "\ufeff"])
def test_an_empty_file_is_the_defaults(tmp_path: Path, text: str) -> None:
    assert read_config(Run, write(tmp_path, text), []) == read_config(Run, None, []) == Run()


def test_overrides_go_over_the_file_and_the_last_one_wins(tmp_path: Path) -> None:
    overrides = [
        "seed=1",
        "seed=3",
        "training.rate=2e-4",
        "training.shuffle=false",
        "silos[1].name=archive",
        "silos[0].paths[1]=c",
        "silos[1].weights={z: 3}",
        "router.options.temperature=5",
        "router.options.new.key=null",
        "baselines=[soup, ensemble]",
    ]
    config = read_config(Run, write(tmp_path, FULL), overrides)
    assert config.seed == 3
    assert config.training == Training(steps=7, rate=2e-4, shuffle=False)
    assert [silo.name for silo in config.silos] == ["hospital", "archive"]
    assert config.silos[0].paths == ["a/*.txt", "c"]
    assert config.silos[1].until == "2031-01-01"
    assert config.silos[1].weights == {"z": 3.0}
    assert config.router.options == {"temperature": 5, "new": {"key": None}, "deep": {"list": [1, "two"]}}
    assert config.baselines == ["soup", "ensemble"]


@pytest.mark.parametrize(
    ("override", "title"),
    [
        ("title=a: b # c = d, it's", "a: b # c = d, it's"),
        ("title=", ""),
        ("title=007", "007"),
        ("title=no", "no"),
        ("title='[x]'", "[x]"),
        ('title="tab\\t"', "tab\t"),
        ("title=\\${x}", "${x}"),
        ("title=*x", "*x"),
    ],
)
def test_text_on_the_command_line_is_taken_as_it_stands(override: str, title: str) -> None:
    assert read_config(Run, None, [override]).title == title


@pytest.mark.parametrize(
    ("written", "title"), [("no", "no"), ("1.10", "1.10"), ("0x1F", "0x1F"), ("2031-02-03", "2031-02-03")]
)
def test_text_in_a_file_is_what_was_written(tmp_path: Path, written: str, title: str) -> None:
    assert read_config(Run, write(tmp_path, f"title: {written}\n"), []).title == title


def test_references_and_shared_blocks(tmp_path: Path) -> None:
    text = "title: seed ${seed}\nseed: 4\nsilos:\n- &one {name: a, paths: [p]}\n- <<: *one\n  name: b\n- *one\n"
    config = read_config(Run, write(tmp_path, text), ["silos[2].paths[0]=q"])
    assert config.title == "seed 4"
    assert config.silos == [Silo(name="a", paths=["p"]), Silo(name="b", paths=["p"]), Silo(name="a", paths=["q"])]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sead: 1\n", "FILE:1: unknown key 'sead': did you mean 'seed'?"),
        ("seed: 1\ntraining:\n  stepz: 1\n", "FILE:3: unknown key 'training.stepz': did you mean 'training.steps'?"),
        ("silos:\n- name: a\n- nam: b\n", "FILE:3: unknown key 'silos[1].nam': did you mean 'silos[1].name'?"),
        ("steps: 4\n", "FILE:1: unknown key 'steps': did you mean 'training.steps'?"),
        ("until: 4\n", "FILE:1: unknown key 'until': did you mean 'silos[0].until'?"),
        ("training: {qqq: 1}\n", "FILE:1: unknown key 'training.qqq': 'training' has steps, rate, shuffle"),
        (
            "42: 1\n",
            "FILE:1: unknown key '42': the configuration has title, seed, colour, training, silos, router, baselines",
        ),
    ],
)
def test_an_unknown_key_names_itself_its_line_and_the_right_one(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training:\n  steps: many\n", "FILE:2: 'training.steps' is 'many', but should be a whole number (int)"),
        ("seed: 1.5\n", "FILE:1: 'seed' is '1.5', but should be a whole number (int)"),
        ("seed: true\n", "FILE:1: 'seed' is 'true', but should be a whole number (int)"),
        ("seed: [1]\n", "FILE:1: 'seed' is a list, but should be a whole number (int)"),
        ("seed:\n", "FILE:1: 'seed' is empty, but should be a whole number (int)"),
        ("title: {a: b}\n", "FILE:1: 'title' is a mapping, but should be text (str)"),
        ("title:\n", "FILE:1: 'title' is empty, but should be text (str)"),
        ("colour: PINK\n", "FILE:1: 'colour' is 'PINK', but should be one of RED, BLUE"),
        (
            "training: {shuffle: perhaps}\n",
            "FILE:1: 'training.shuffle' is 'perhaps', but should be true or false (bool)",
        ),
        ("training: 3\n", "FILE:1: 'training' is '3', but should be a mapping with keys of steps, rate, shuffle"),
        ("baselines: soup\n", "FILE:1: 'baselines' is 'soup', but should be a list of texts"),
        ("baselines: [soup, [a]]\n", "FILE:1: 'baselines[1]' is a list, but should be text (str)"),
        (
            "silos:\n- name: a\n  weights:\n    x: y\n",
            "FILE:4: 'silos[0].weights.x' is 'y', but should be a number (float)",
        ),
        (
            "silos: {a: 1}\n",
            "FILE:1: 'silos' is a mapping, but should be a list of mappings with keys of name, paths, ",
        ),
        ("silos: [{name: a}, b]\n", "FILE:1: 'silos[1]' is 'b', but should be a mapping with keys of name, paths, "),
    ],
)
def test_a_wrong_type_names_the_value_and_the_type(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text).startswith(message)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sead=1", "command line: unknown key 'sead': did you mean 'seed'?"),
        ("silos[1].nam=x", "command line: unknown key 'silos[1].nam': did you mean 'silos[1].name'?"),
        ("training.steps=many", "command line: 'training.steps' is 'many', but should be a whole number (int)"),
        ("training.steps=[1]", "command line: 'training.steps' is a list, but should be a whole number (int)"),
        ("training={stepz: 1}", "command line: unknown key 'training.stepz'"),
        ("silos[2].name=x", "command line: there is no 'silos[2]': 'silos' has 2, counted from 0"),
        (
            "silos.name=x",
            "command line: 'silos.name': 'silos' is a list: write silos[0].name in FILE:7, and has no keys",
        ),
        ("title.x=1", "command line: 'title.x': 'title' is a value in FILE:1, and has no keys"),
        (
            "baselines[0]=x",
            "command line: 'baselines[0]': the file gives no list 'baselines'; give it whole: baselines=[…]",
        ),
        ("seed", "command line: 'seed' is no override: write key=value"),
        ("=1", "command line: '=1' is no override"),
        ("a..b=1", "command line: 'a..b=1' is no override"),
        ("silos[x].name=1", "command line: 'silos[x].name=1' is no override"),
        ("baselines=[a", "command line: is not YAML: expected ',' or ']', but got '<stream end>', in [a"),
    ],
)
def test_a_refused_override_says_command_line(tmp_path: Path, override: str, message: str) -> None:
    assert refusal(tmp_path, FULL, override).startswith(message)


def test_everything_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    message = refusal(tmp_path, "silos:\n- paths: [a]\n- name: b\n- name: ???\n")
    assert message == "FILE: 'silos[0].name', 'silos[2].name' must be given, in the file or as key=value"
    with pytest.raises(ConfigError, match=r"the configuration: 'owner', 'training' must be given"):
        read_config(Node, None, [])
    assert read_config(Node, None, ["owner=a", "training.steps=3"]).training == Training(steps=3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\ntitle: [a\n", "FILE:3:1: is not YAML: "),
        ("seed: 1\n\ttitle: a\n", "FILE:2:1: is not YAML: "),
        ("title: a: b\n", "FILE:1:9: is not YAML: mapping values are not allowed here"),
        ("a: 1\n---\nb: 1\n", "FILE:2:1: is not YAML: but found another document"),
        ("title: \x07\n", "FILE: is not YAML: "),
        ("- a\n- b\n", "FILE: is no mapping"),
        ("seed: 1\ntitle: a\nseed: 2\n", "FILE:3: 'seed' is given twice, first in FILE:1; keep one"),
        ("silos:\n- name: a\n  name: b\n", "FILE:3: 'name' is given twice, first in FILE:2; keep one"),
        ("router: {options: {a: 1, a: 2}}\n", "FILE:1: 'a' is given twice"),
        ("title: !!python/name:os.system x\n", "FILE:1: the YAML tag "),
        ("? [a]\n: 1\n", "FILE:1: a key must be one word"),
        ("router: {options: {a: &x [*x]}}\n", "FILE:1: an alias stands inside"),
        ("title: ${nowhere}\n", "FILE: 'title': "),
        ("seed: ${title}\n", "FILE: 'seed': "),
    ],
)
def test_bad_yaml_names_the_place(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text).startswith(message)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"rum\.yaml: there is no such file; there is no YAML file in "):
        read_config(Run, tmp_path / "rum.yaml", [])
    write(tmp_path, FULL)
    with pytest.raises(ConfigError, match=r"rum\.yaml: there is no such file; did you mean .*/run\.yaml\?"):
        read_config(Run, tmp_path / "rum.yaml", [])
    with pytest.raises(ConfigError, match=r"else\.yaml: there is no such file; .* holds run\.yaml"):
        read_config(Run, tmp_path / "something-else.yaml", [])
    with pytest.raises(ConfigError, match=f"nor its folder; the path is right as far as {tmp_path}"):
        read_config(Run, tmp_path / "no" / "such" / "run.yaml", [])
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(Run, tmp_path, [])
    (tmp_path / "run.yaml").write_bytes(b"title: caf\xe9\n")
    with pytest.raises(ConfigError, match="byte 10 is not UTF-8"):
        read_config(Run, tmp_path / "run.yaml", [])


def test_yaml_of_a_configuration_reads_back_equal(tmp_path: Path) -> None:
    config = replace(
        read_config(Run, write(tmp_path, FULL), []),
        title="${oc.env:HOME} is text, no: reference é",
        seed=-1,
        training=Training(rate=1e-9, shuffle=False),
    )
    text = to_yaml(config)
    assert text.startswith("title: ")
    again = read_config(Run, write(tmp_path, text), [])
    assert again == config
    assert to_yaml(again) == text


def test_a_whole_run_reads_back_equal(tmp_path: Path) -> None:
    text = "silos:\n- {name: a, domain: d, data: {paths: [x]}}\nwithdraw: a\n"
    config = read_config(RunConfig, write(tmp_path, text), ["training.steps=3", "consent=1"][:1])
    assert config.training.steps == 3
    assert config.silos[0].consent.until is None
    assert read_config(RunConfig, write(tmp_path, to_yaml(config)), []) == config


@dataclass(frozen=True)
class Evaluation:
    baselines: dict[str, Plugin] = field(default_factory=lambda: {"soup": Plugin(name="soup")})
    splits: list[str] = field(default_factory=lambda: ["test"])


@dataclass(frozen=True)
class Measured:
    evaluation: Evaluation = field(default_factory=Evaluation)
    router: Plugin = field(default_factory=lambda: Plugin(options={"k": 2}))


@dataclass
class Part:
    options: dict[str, int] = field(default_factory=lambda: {"a": 1})
    places: list[int] = field(default_factory=lambda: [1])


@dataclass
class Parts:
    many: list[Part] = field(default_factory=lambda: [Part()])
    named: dict[str, Part] = field(default_factory=lambda: {"x": Part()})


@pytest.mark.parametrize("options", [{}, {"b": 2}], ids=["empty", "other"])
@pytest.mark.parametrize("name", ["x", "y"])
def test_a_mapping_within_a_list_or_a_mapping_takes_the_place_of_its_default(
    tmp_path: Path, options: dict[str, int], name: str
) -> None:
    given = {"many": [{"options": options}, {}], "named": {name: {"options": options, "places": []}}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(given))
    read = read_config(Parts, tmp_path / "c.yaml", [])
    assert read == Parts(many=[Part(options=options), Part()], named={name: Part(options=options, places=[])})


@pytest.mark.parametrize("given", ["evaluation: {baselines: {}, splits: []}\n", ""])
def test_an_empty_mapping_or_list_means_none_and_an_absent_one_the_default(tmp_path: Path, given: str) -> None:
    made = read_config(Measured, write(tmp_path, given), [])
    assert made.evaluation == (Evaluation({}, []) if given else Evaluation())


def test_a_given_mapping_takes_the_place_of_its_default(tmp_path: Path) -> None:
    text = "evaluation:\n  baselines: {mine: {name: ensemble, options: {weighting: uniform}}}\n"
    made = read_config(Measured, write(tmp_path, text), [])
    assert made.evaluation.baselines == {"mine": Plugin(name="ensemble", options={"weighting": "uniform"})}
    assert read_config(Measured, None, ["evaluation.baselines={}"]).evaluation.baselines == {}
    assert read_config(Measured, None, ["router.options={}"]).router == Plugin(options={})
    assert read_config(Measured, None, ["router.name=domain"]).router == Plugin(name="domain", options={"k": 2})


def test_the_runs_baselines_can_be_none() -> None:
    assert read_config(RunConfig, None, ["silos=[]", "evaluation.baselines={}"]).evaluation.baselines == {}
