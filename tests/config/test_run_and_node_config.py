"""The two configurations that people write: of a run, and of an institution's own node."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from atoll.config import read_config, to_yaml
from atoll.coordinator.config import RunConfig, SiloConfig
from atoll.errors import ConfigError
from atoll.federation.node_config import ConsentTerms, NodeConfig
from atoll.workloads.text import TextConfig

RUN = """\
title: Two silos
seed: 3
silos:
  - name: hospital
    domain: diagnoses
    data:
      paths: [notes/*.jsonl]
      format: jsonl
      field: body
    consent: {purposes: [research], until: 2031-01-01}
  - name: library
    domain: scripture
    data: {paths: [books]}
expert:
  kind: lora
  rank: 4
router:
  name: domain
  options: {temperature: 0.5}
"""
NODE = """\
owner: hospital
domain: diagnoses
data:
  paths: [notes]
threads: 2
"""


def text(silo: SiloConfig) -> TextConfig:
    assert isinstance(silo.data, TextConfig)
    return silo.data


def write(folder: Path, text: str) -> Path:
    path = folder / "written.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(schema: type, folder: Path, text: str, *overrides: str) -> str:
    path = write(folder, text)
    with pytest.raises(ConfigError) as caught:
        read_config(schema, path, overrides)
    return str(caught.value).replace(str(path), "FILE")


def test_a_run_is_read_with_defaults_for_the_rest(tmp_path: Path) -> None:
    config = read_config(RunConfig, write(tmp_path, RUN), [])
    hospital, library = config.silos
    assert (config.title, config.seed, config.expert.kind, config.expert.rank) == ("Two silos", 3, "lora", 4)
    assert hospital.data == TextConfig(paths=["notes/*.jsonl"], format="jsonl", field="body")
    assert hospital.consent == ConsentTerms(purposes=["research"], until="2031-01-01")
    assert library.consent == ConsentTerms()
    assert config.router.options == {"temperature": 0.5}
    assert config.training == RunConfig().training
    config.check()


@pytest.mark.parametrize("override", ["descriptor.documents=0", "descriptor.counted=-1"])
def test_a_sample_that_cannot_be_is_refused(tmp_path: Path, override: str) -> None:
    config = read_config(RunConfig, write(tmp_path, RUN), [override])
    name, _, value = override.partition("=")
    with pytest.raises(ConfigError, match=rf"{name} is {value}; it must be at least"):
        config.check()


def test_a_router_that_the_descriptors_cannot_serve_is_refused_before_anyone_trains(tmp_path: Path) -> None:
    overrides = ["router={name: naive-bayes}", "descriptor.counted=0"]
    with pytest.raises(ConfigError, match=r"no token shares; train with descriptor\.counted"):
        read_config(RunConfig, write(tmp_path, RUN), overrides).check()
    read_config(RunConfig, write(tmp_path, RUN), overrides[1:]).check()  # router domain needs none


def test_privacy_that_cannot_be_kept_to_is_refused_before_anyone_trains(tmp_path: Path) -> None:
    run = write(tmp_path, RUN)
    read_config(RunConfig, run, ["privacy.epsilon=8"]).check()
    with pytest.raises(ConfigError, match=r"privacy\.clip is 0\.0"):
        read_config(RunConfig, run, ["privacy.epsilon=8", "privacy.clip=0"]).check()
    with pytest.raises(ConfigError, match=r"stream\.stages.*sparse dispatch"):
        read_config(RunConfig, run, ["privacy.epsilon=8", "stream.stages=[[hospital],[library]]"]).check()


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("silos[1].consent.until=2020-01-31", "of silo 'library' is 2020-01-31, which is past"),
        ("silos[1].consent.until=never", "of silo 'library' is 'never', which is no date such as 2031-12-31"),
        ("silos[1].consent.purposes=[]", "of silo 'library' is empty"),
    ],
)
def test_consent_that_permits_nothing_is_refused_before_anyone_trains(tmp_path: Path, override: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        read_config(RunConfig, write(tmp_path, RUN), [override]).check()


def test_a_node_is_read_with_defaults_for_the_rest(tmp_path: Path) -> None:
    config = read_config(NodeConfig, write(tmp_path, NODE), ["device=cpu"])
    expected = NodeConfig(
        owner="hospital", domain="diagnoses", data=TextConfig(paths=["notes"]), threads=2, device="cpu"
    )
    assert config == expected


@pytest.mark.parametrize(("schema", "text"), [(RunConfig, RUN), (NodeConfig, NODE)])
def test_what_is_written_reads_back_equal(tmp_path: Path, schema: type[Any], text: str) -> None:
    config = read_config(schema, write(tmp_path, text), [])
    written = to_yaml(config)
    again = read_config(schema, write(tmp_path, written), [])
    assert again == config
    assert to_yaml(again) == written


def test_text_that_looks_like_yaml_or_a_reference_survives(tmp_path: Path) -> None:
    terms = ConsentTerms(purposes=["no", "1.0", "null", "a: b # c"], statement="${owner}: yes\n- or ~ é")
    config = replace(read_config(NodeConfig, write(tmp_path, NODE), []), consent=terms)
    assert read_config(NodeConfig, write(tmp_path, to_yaml(config)), []) == config


def test_overrides_reach_into_lists_mappings_and_nested_parts(tmp_path: Path) -> None:
    overrides = [
        "silos[1].data.paths=[a/*.txt, 'b c']",
        "silos[0].data.paths[0]=elsewhere.jsonl",
        "silos[1].consent.purposes=[teaching]",
        "training.steps=7",
        "router.options.temperature=2",
        "evaluation.baselines={soup: {name: soup}}",
        "silos[0].consent.until=null",
    ]
    config = read_config(RunConfig, write(tmp_path, RUN), overrides)
    assert text(config.silos[1]).paths == ["a/*.txt", "b c"]
    assert text(config.silos[0]).paths == ["elsewhere.jsonl"]
    assert text(config.silos[0]).field == "body"
    assert config.silos[1].consent.purposes == ["teaching"]
    assert config.silos[0].consent.until is None
    assert config.training.steps == 7
    assert config.router.options == {"temperature": 2}
    assert config.evaluation.baselines["soup"].name == "soup"
    whole = read_config(RunConfig, None, ["silos=[{name: a, domain: d, data: {paths: [x]}}]"])
    assert [(silo.name, text(silo).paths) for silo in whole.silos] == [("a", ["x"])]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainning:\n  steps: 1\n", "FILE:1: unknown key 'trainning': did you mean 'training'?"),
        ("title: x\ntraining:\n  stepz: 1\n", "FILE:3: unknown key 'training.stepz': did you mean 'training.steps'?"),
        (
            "silos:\n- name: a\n  data:\n    path: [x]\n",
            "FILE:4: unknown key 'silos[0].data.path': did you mean 'silos[0].data.paths'?",
        ),
        ("steps: 4\n", "FILE:1: unknown key 'steps': did you mean 'training.steps'?"),
        ("training: {steps: many}\n", "FILE:1: 'training.steps' is 'many', but should be a whole number (int)"),
        (
            "silos:\n- name: a\n  data: {paths: notes}\n",
            "FILE:3: 'silos[0].data.paths' is 'notes', but should be a list of texts",
        ),
        ("silos: hospital\n", "FILE:1: 'silos' is 'hospital', but should be a list of mappings with keys of name"),
        ("router: domain\n", "FILE:1: 'router' is 'domain', but should be a mapping with keys of name"),
        ("silos:\n- data: {paths: [x]}\n", "FILE: 'silos[0].domain', 'silos[0].name' must be given"),
        ("seed: 1\nseed: 2\n", "FILE:2: 'seed' is given twice, first in FILE:1"),
        ("title: ${titel}\n", "FILE: 'title': "),
        ("silos: [\n", "FILE:2:1: is not YAML: "),
    ],
)
def test_a_run_that_is_refused(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(RunConfig, tmp_path, text).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("owner: a\ndomain: d\n", "FILE: 'data' must be given"),
        ("", "FILE: 'data', 'domain', 'owner' must be given"),
        (NODE + "thread: 1\n", "FILE:6: unknown key 'thread': did you mean 'threads'?"),
        (NODE + "purposes: [a]\n", "FILE:6: unknown key 'purposes': did you mean 'consent.purposes'?"),
        (NODE.replace("threads: 2", "threads: two"), "FILE:5: 'threads' is 'two', but should be a whole number"),
        (NODE.replace("[notes]", "[[notes]]"), "FILE:4: 'data.paths[0]' is a list, but should be text (str)"),
        (NODE.replace("owner: hospital", "owner:"), "FILE:1: 'owner' is empty, but should be text (str)"),
    ],
)
def test_a_node_that_is_refused(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(NodeConfig, tmp_path, text).startswith(message)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("silos[2].name=x", "command line: there is no 'silos[2]': 'silos' has 2, counted from 0"),
        ("silos[0].nam=x", "command line: unknown key 'silos[0].nam': did you mean 'silos[0].name'?"),
        ("training.steps=1.5", "command line: 'training.steps' is '1.5', but should be a whole number (int)"),
        ("training=fast", "command line: 'training' is 'fast', but should be a mapping with keys of "),
        ("--seed", "command line: '--seed' is no override: write key=value"),
        ("silos[0].data.paths=[a", "command line: is not YAML: "),
    ],
)
def test_an_override_that_is_refused(tmp_path: Path, override: str, message: str) -> None:
    assert refusal(RunConfig, tmp_path, RUN, override).startswith(message)
