"""What `deploy` holds is what Compose, Kubernetes and systemd take, and fits the program that it starts."""

import configparser
import copy
import importlib.metadata
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from tests.deployment.test_documentation import TEXT, parse

from atoll.coordinator.server.folder import ServerConfig

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
IMAGE = f"atoll:{tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['version']}"
PORT, STATUS = ServerConfig(hosts=["x"]).port, ServerConfig(hosts=["x"]).status.port
COMPOSE = sorted((DEPLOY / "compose").glob("*.yaml"))
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def compose_schema() -> dict[str, Any]:
    """The Compose Specification's own, as the package docker-compose ships it."""
    try:
        files = importlib.metadata.files("docker-compose") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the schema is not here: pip install --no-deps docker-compose==1.29.2")
    found: dict[str, Any] = json.loads(next(file for file in files if file.name == "compose_spec.json").read_text())
    return found


def mutants(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The same with a mistake: a wrong type, an unknown key on the way down, and deep in a container."""
    yield {**document, "metadata": {"nmae": "x"}}
    yield {**document, "spec": "x"}
    yield {**document, "spec": {**document["spec"], "replcias": 1}}
    if document["kind"] == "StatefulSet":
        wrong = copy.deepcopy(document)
        wrong["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRootFileSystem"] = True
        yield wrong
        wrong = copy.deepcopy(document)
        wrong["spec"]["replicas"] = "one"
        yield wrong


@pytest.mark.parametrize("file", COMPOSE, ids=lambda path: path.stem)
def test_compose_files(file: Path) -> None:
    schema, content = compose_schema(), yaml.safe_load(file.read_text(encoding="utf-8"))
    validator = jsonschema.Draft201909Validator(schema)
    validator.validate(content)
    wrong = copy.deepcopy(content)
    next(iter(wrong["services"].values()))["restrat"] = "always"
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(wrong)


@pytest.mark.parametrize("file", KUBERNETES, ids=lambda path: path.stem)
def test_kubernetes_manifests(file: Path) -> None:
    for document in yaml.safe_load_all(file.read_text(encoding="utf-8")):
        kubernetes_validate.validate(document, "1.31", strict=True)
        for wrong in mutants(document):
            with pytest.raises(kubernetes_validate.ValidationError):
                kubernetes_validate.validate(wrong, "1.31", strict=True)


@pytest.mark.parametrize("file", UNITS, ids=lambda path: path.stem)
def test_systemd_units(file: Path, tmp_path: Path) -> None:
    unit = configparser.ConfigParser(strict=True, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(file.read_text(encoding="utf-8"))
    program, *arguments = unit["Service"]["ExecStart"].split()
    assert program.endswith("/atoll")
    parse(arguments)
    assert arguments[2] == unit["Service"]["ReadWritePaths"]
    hardened = {"NoNewPrivileges": "yes", "ProtectSystem": "strict", "Restart": "always", "KillMode": "mixed"}
    assert hardened.items() <= dict(unit["Service"]).items()
    assert unit["Service"]["User"] != "root"
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here; the unit's own structure was checked")
    made = tmp_path / file.name.replace("@", "@north")
    made.write_text(file.read_text(encoding="utf-8").replace(program, "/bin/true").replace("User=atoll", "User=root"))
    done = subprocess.run(["systemd-analyze", "verify", made], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def folders(words: list[str]) -> str:
    """The folder that a command works on, if the command is one."""
    parse(words)
    return words[2]


def test_compose_starts_what_there_is() -> None:
    for file in COMPOSE:
        text = file.read_text()
        ((name, service),) = yaml.safe_load(text)["services"].items()
        folder = folders(service["command"])
        (init,) = re.findall(r"^#   ((?:coordinator|node) init .*)$", text, re.MULTILINE)
        assert folders(shlex.split(init)) == folder
        assert folder.startswith("/data/"), "the volume itself belongs to somebody else"
        assert f"{name}:/data" in service["volumes"]
        assert service["image"] == IMAGE
        assert service["read_only"] is True
        assert service["restart"] == "unless-stopped"
        assert "environment" not in service
        check = service["healthcheck"]["test"]
        if name == "coordinator":
            assert service["ports"] == [f"{PORT}:{PORT}"]
            assert f":{STATUS}/ready" in check[-1]
        else:
            assert "ports" not in service
            assert folders(check[2:]) == folder


@pytest.mark.parametrize("file", KUBERNETES, ids=lambda path: path.stem)
def test_kubernetes_starts_what_there_is(file: Path) -> None:
    by_kind = {document["kind"]: document for document in yaml.safe_load_all(file.read_text(encoding="utf-8"))}
    stateful, service, network = (by_kind[kind]["spec"] for kind in ("StatefulSet", "Service", "NetworkPolicy"))
    pod = stateful["template"]["spec"]
    (init,), (container,) = pod["initContainers"], pod["containers"]
    assert stateful["replicas"] == 1
    assert stateful["template"]["metadata"]["labels"] == stateful["selector"]["matchLabels"] == service["selector"]
    assert network["podSelector"]["matchLabels"] == service["selector"]
    assert by_kind["Service"]["metadata"]["name"] == stateful["serviceName"]
    assert folders(init["args"]) == folders(container["args"])
    assert folders(container["args"]).startswith("/data/"), "the volume itself belongs to somebody else"
    assert pod["securityContext"]["runAsNonRoot"] is True
    volumes = {each["name"] for each in pod["volumes"]}
    volumes |= {each["metadata"]["name"] for each in stateful["volumeClaimTemplates"]}
    for each in (init, container):
        assert each["image"] == IMAGE
        assert each["securityContext"]["readOnlyRootFilesystem"] is True
        assert each["resources"]["requests"]
        assert "env" not in each
        assert {mount["name"] for mount in each["volumeMounts"]} <= volumes
    if file.stem == "coordinator":
        assert container["ports"] == [{"name": "nodes", "containerPort": PORT}]
        assert service["ports"] == [{"name": "nodes", "port": PORT, "targetPort": "nodes"}]
        assert network["ingress"] == [{"ports": [{"port": PORT, "protocol": "TCP"}]}]
        assert f":{STATUS}/health" in container["livenessProbe"]["exec"]["command"][-1]
    else:
        assert "ports" not in container
        assert network["ingress"] == []
        assert {"port": PORT, "protocol": "TCP"} in network["egress"][0]["ports"]
        assert folders(container["readinessProbe"]["exec"]["command"][1:]) == folders(container["args"])


def test_the_image_is_built_from_what_there_is() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    copied = [name for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE) for name in line.split()]
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert sorted(line[1:] for line in ignored if line.startswith("!")) == sorted(copied)
    assert all((ROOT / name).exists() for name in copied)
    users = re.findall(r"^USER (\d+)", text, re.MULTILINE)
    assert users == ["10001"]
    pods = [
        each["spec"]["template"]["spec"]
        for file in KUBERNETES
        for each in yaml.safe_load_all(file.read_text())
        if each["kind"] == "StatefulSet"
    ]
    assert {pod["securityContext"]["runAsUser"] for pod in pods} == {int(users[0])}
    assert f"-t {IMAGE} " in text
    assert f"-t {IMAGE} " in TEXT


def test_the_text_says_the_ports() -> None:
    assert f"{PORT} (TLS" in TEXT
    assert f"{STATUS} (status page" in TEXT
