"""Flower refuses nodes whose clock is more than minutes off; here a node goes by the coordinator's clock instead."""

import datetime
import email.utils
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

VARIABLE = "ATOLL_CLOCK_OFFSET"
"""Environment variable: seconds to add to this machine's clock."""


def clock_offset(address: str, ca: Path) -> float:
    """How many seconds the coordinator's clock is ahead of ours, to about a second.

    Args:
        address: ``host:port`` of the SuperLink.
        ca: PEM of who signed its certificate.

    Raises:
        OSError: it cannot be reached, or is not who it should be.
    """
    context = ssl.create_default_context(cafile=str(ca))
    request = urllib.request.Request(f"https://{address}/health", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            said = answer.headers["date"]
    except urllib.error.HTTPError as error:  # any answer has a date
        said = error.headers["date"]
    if said is None:
        return 0.0
    return email.utils.parsedate_to_datetime(said).timestamp() - time.time()


def shift_clock(seconds: float) -> None:
    """Make Flower, in this process, add this to the machine's clock."""
    import flwr.supercore.date as date

    ahead, before = datetime.timedelta(seconds=seconds), date.now

    def now() -> datetime.datetime:
        return datetime.datetime.now(tz=datetime.UTC) + ahead

    # Flower's modules each hold the function by name.
    for name, module in list(sys.modules.items()):
        if name.startswith("flwr.") and getattr(module, "now", None) is before:
            setattr(module, "now", now)  # noqa: B010
