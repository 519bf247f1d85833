"""Ray on this machine for as long as it is needed: quiet, closed to others, and gone afterwards."""

import contextlib
import gc
import importlib.util
import os
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping

from atoll.errors import FederationError


@contextlib.contextmanager
def ray_session(cores: int, environment: Mapping[str, str]) -> Iterator[None]:
    """Start Ray's processes, and end them.

    They listen on the machine's network, as Ray's always do; whoever has not the session's token is refused.

    Args:
        cores: Actors of one core each that fit in.
        environment: Variables of the actors beside our own.

    Raises:
        FederationError: Ray is not installed, does not start, or is in use in this process by somebody else.
    """
    _check()
    # Not where TMPDIR says: the path of a socket holds a hundred characters, and Ray adds most of them.
    scratch = tempfile.mkdtemp(prefix="atoll-ray-", dir="/tmp")
    try:
        with _sigterm_kept():
            try:
                _start(cores, environment, scratch)
                yield
            finally:
                _end()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def no_resource_warnings() -> Iterator[None]:
    """Ray leaves files and processes to the garbage collector, which comes before this is over."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


def _check() -> None:
    if importlib.util.find_spec("ray") is None:
        raise FederationError(
            "simulation needs Ray, which is not installed: pip install 'atoll[simulation]', or take the embedded "
            "engine (engine.kind=embedded)"
        )
    if "ray" in sys.modules and sys.modules["ray"].is_initialized():
        raise FederationError("Ray is in use in this process already; call ray.shutdown() before a simulation")


def _start(cores: int, environment: Mapping[str, str], scratch: str) -> None:
    with _environment(), no_resource_warnings():
        import ray

        _read_environment()
        try:
            ray.init(
                address="local",
                num_cpus=cores,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
                runtime_env={"env_vars": dict(environment)},
                _temp_dir=scratch,
            )
        except Exception as error:  # Ray's own, of many kinds
            raise FederationError(f"Ray does not start: {error}") from error


def _end() -> None:
    import ray

    with no_resource_warnings():
        ray.shutdown()
    _read_environment()


def _read_environment() -> None:
    """Ray reads the token, and whether one is needed, once in a process; this makes it read them now."""
    from ray._raylet import AuthenticationTokenLoader, Config

    AuthenticationTokenLoader.instance().reset_cache()
    Config.initialize("")


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """What Ray reads while it starts; afterwards our environment is as it was."""
    wanted = {
        "RAY_USAGE_STATS_ENABLED": "0",
        # Actors see the GPUs that we see, as the embedded engine's workers do.
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    # Ray sends even our own breakpoints to its debugger.
    before = {name: os.environ.get(name) for name in (*wanted, "PYTHONBREAKPOINT")}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Ray puts a handler of its own in place, for good."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
