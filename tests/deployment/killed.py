"""Run Atoll's command line in a process that kills itself, as a power cut would, around its nth entry in the ledger.

Usage: killed.py before|after NUMBER ARGUMENTS…
"""

import os
import signal
import sys
from typing import Any

from atoll.cli.app import main
from atoll.ledger import Ledger


def _patched(moment: str, number: int) -> None:
    record, written = Ledger.record_all, [0]

    def record_all(self: Ledger, facts: Any, at: Any = None) -> Any:
        head = self.state().head.sequence
        if moment == "before":
            news = [fact for fact in facts if self._state.is_news(fact, _now())]
            written[0] += bool(news)
            if written[0] >= number:
                os.kill(os.getpid(), signal.SIGKILL)
        made = record(self, facts, at)
        written[0] += bool(made and moment == "after")
        if written[0] >= number and self.state().head.sequence > head:
            os.kill(os.getpid(), signal.SIGKILL)
        return made

    Ledger.record_all = record_all  # type: ignore[method-assign]


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


if __name__ == "__main__":
    _patched(sys.argv[1], int(sys.argv[2]))
    sys.argv = ["atoll", *sys.argv[3:]]
    main()
