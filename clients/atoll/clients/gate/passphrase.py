"""The passphrase of the owner's key: from the environment, or from whoever sits at the terminal."""

import getpass
import os
import sys
from pathlib import Path

from atoll.clients.owner_keys import OwnerKeys
from atoll.errors import ConfigError
from atoll.experts.signing import PASSPHRASE, passphrase_here


def ask_passphrase(keys: OwnerKeys) -> None:
    """Ask for the passphrase where one is needed and the environment has none; the workers of this process get it too.

    Raises:
        ConfigError: it is not the right one, or there is nobody to ask.
    """
    if keys.protected and not passphrase_here():
        if not sys.stdin.isatty():
            raise ConfigError(
                f"the owner's key has a passphrase: give it in {PASSPHRASE} or a file in {PASSPHRASE}_FILE"
            )
        os.environ[PASSPHRASE] = getpass.getpass("Passphrase of the owner's key: ")
    if keys.exists:
        keys.current()


def new_passphrase(file: Path | None) -> bytes:
    """A passphrase from the first line of a file, or asked for twice.

    Raises:
        ConfigError: it is empty, or typed differently, or there is nobody to ask.
    """
    if file is not None:
        try:
            word = file.read_bytes().split(b"\n", 1)[0].rstrip(b"\r")
        except OSError as error:
            raise ConfigError(f"{file}: no passphrase can be read here ({error.strerror})") from error
    elif not sys.stdin.isatty():
        raise ConfigError("there is nobody to ask for the new passphrase: name a file with --file")
    else:
        word = getpass.getpass("New passphrase: ").encode()
        if getpass.getpass("Again: ").encode() != word:
            raise ConfigError("that was another one; nothing was changed")
    if not word:
        raise ConfigError("the passphrase is empty; --remove takes one away")
    return word
