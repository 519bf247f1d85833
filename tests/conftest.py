"""What holds for every test."""

import os
import tempfile

from hypothesis import settings

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# What releases are trusted is kept with the user; tests keep it apart, and their child processes inherit that.
_STATE = tempfile.TemporaryDirectory(prefix="atoll-state-")
os.environ["ATOLL_STATE"] = _STATE.name
