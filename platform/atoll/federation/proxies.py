"""Which proxy a connection goes by; one on this machine goes by none, whatever the environment says."""

import ipaddress
import os
import re
import urllib.request
from collections.abc import Mapping
from urllib.parse import urlsplit

_VARIABLE = re.compile(r"(\w+_proxy|no_grpc_proxy)", re.IGNORECASE)
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def bypass_loopback() -> None:
    """Let nothing in this process, or in what it starts, go by a proxy for this machine."""
    for name in ("no_proxy", "NO_PROXY"):
        there = [part.strip() for part in os.environ.get(name, "").split(",") if part.strip()]
        if there != ["*"]:
            os.environ[name] = ",".join(dict.fromkeys([*there, *LOOPBACK]))


def without_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which no program goes by a proxy."""
    return {name: value for name, value in environment.items() if not _VARIABLE.fullmatch(name)}


def leave_proxies() -> None:
    """Forget the proxies of this process: for servers, whose connections of their own are on this machine alone."""
    for name in set(os.environ) - set(without_proxies(os.environ)):
        del os.environ[name]


def proxy_for(address: str) -> str | None:
    """The proxy by which this machine goes to an address for HTTPS, as the environment says; ``None`` for none.

    Args:
        address: ``host:port``, with an IPv6 host in brackets.
    """
    host = urlsplit(f"//{address}").hostname or ""
    found = urllib.request.getproxies()
    proxy = found.get("https") or found.get("all")
    if not proxy or is_loopback(host) or _is_exempt(host, found.get("no", "")):
        return None
    bracketed = f"[{host}]" if ":" in host else host
    if urllib.request.proxy_bypass(bracketed) or urllib.request.proxy_bypass(address):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def shown_proxy(proxy: str) -> str:
    """A proxy's URL for people: without what is secret in it."""
    parts = urlsplit(proxy)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    if host.rstrip(".").lower().rpartition(".")[2] == "localhost":
        return True
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None) or found
    return bool(mapped.is_loopback or mapped.is_unspecified)


def _is_exempt(host: str, no_proxy: str) -> bool:
    """Whether ``no_proxy`` names an address by itself or by its network, which urllib does not read."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return False
    for part in no_proxy.split(","):
        try:
            if found in ipaddress.ip_network(part.strip().strip("[]"), strict=False):
                return True
        except ValueError:
            continue
    return False
