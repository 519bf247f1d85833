"""Flower refuses nodes whose clock is more than minutes off; here a node goes by the coordinator's clock instead."""

import datetime
import email.utils
import ssl
import sys
import time
from pathlib import Path

import httpx

from atoll.federation.proxies import shown_proxy

VARIABLE = "ATOLL_CLOCK_OFFSET"
"""Environment variable: seconds to add to this machine's clock."""


def clock_offset(address: str, ca: Path, proxy: str | None = None) -> float:
    """How many seconds the coordinator's clock is ahead of ours, to about a second.

    Args:
        address: ``host:port`` of the SuperLink.
        ca: PEM of who signed its certificate.
        proxy: URL of the proxy to go by; by none, whatever the environment says, if not given.

    Raises:
        OSError: it cannot be reached, or is not who it should be; ``ssl.SSLError`` where TLS fails.
    """
    context = ssl.create_default_context(cafile=str(ca))
    try:
        with httpx.Client(verify=context, timeout=10, trust_env=False, proxy=proxy) as client:
            said = client.head(f"https://{address}/health").headers.get("date")  # any answer has a date
    except ImportError as error:
        raise OSError(f"{shown_proxy(proxy or '')} is a SOCKS proxy: pip install socksio") from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise _cause(error) from error
    if said is None:
        return 0.0
    return email.utils.parsedate_to_datetime(said).timestamp() - time.time()


def _cause(error: Exception) -> OSError:
    """What was wrong under the client's own errors: TLS where it was that."""
    under: BaseException | None = error
    while under is not None:
        if isinstance(under, ssl.SSLError):
            return under
        under = under.__cause__ or under.__context__
    return OSError(str(error).strip() or type(error).__name__)


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
