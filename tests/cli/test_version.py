"""`atoll --version`: the version that is installed, and nothing else is loaded for it."""

import subprocess
import sys
from importlib.metadata import version


def test_version_is_the_installed_one() -> None:
    command = [sys.executable, "-m", "atoll.cli.app", "--version"]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    assert made.stdout == f"atoll {version('atoll')}\n"


def test_version_loads_nothing_heavy() -> None:
    script = (
        "import sys; from atoll.cli.app import app\n"
        "try:\n    app(['--version'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'torch', 'flwr', 'mlflow', 'transformers'} & set(sys.modules)))"
    )
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert made.stdout.splitlines()[-1] == "[]"
