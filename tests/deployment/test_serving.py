"""A withdrawal is in force in the very next answer of a process that was answering before."""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from tests.deployment.federation import ATOLL, Federation, atoll, environment, wait

pytestmark = [pytest.mark.suite, pytest.mark.timeout(600)]


def test_withdrawn_expert_is_out_of_the_next_answer(make: Callable[..., Federation]) -> None:
    fed = make()
    fed.start("coordinator", "clinic", "court")
    fed.train()
    fed.release("--at-least", "2")
    command = [*ATOLL, "mixture", "generate", str(fed.folder / "releases" / "release-0001"), "-", "--tokens", "4"]
    command += ["--ledger", str(fed.folder / "ledger.db")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(PYTHONUNBUFFERED="1")
    ) as serving:
        assert serving.stdin
        assert serving.stdout

        def ask(text: str) -> str:
            assert serving.stdin
            assert serving.stdout
            serving.stdin.write(text + "\n")
            serving.stdin.flush()
            lines: list[str] = []
            while not (lines and lines[-1].startswith("└")):
                lines.append(serving.stdout.readline())
                assert lines[-1], "it ended"
            return "".join(lines)

        before = ask("party clause liable")
        assert _share(before, "court") > _share(before, "clinic"), before
        # The owner says so on its own machine; its node tells it; nobody restarts anything.
        atoll("node", "withdraw", fed.node("court"))
        wait("the ledger knows", lambda: len(fed.state().usable("any", datetime.now(UTC))) == 1)
        after = ask("party clause liable")
        assert _share(after, "court") == 0 < _share(after, "clinic"), after
        serving.stdin.close()
        assert serving.wait(30) == 0


def _share(table: str, owner: str) -> float:
    row = next((line for line in table.splitlines() if f" {owner} " in line), "│ nobody │ 0 % │")
    return float(row.split("│")[2].strip(" %"))
