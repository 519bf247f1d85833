"""What holds for every test."""

import os
import tempfile

# What releases are trusted is kept with the user; tests keep it apart, and their child processes inherit that.
_STATE = tempfile.TemporaryDirectory(prefix="atoll-state-")
os.environ["ATOLL_STATE"] = _STATE.name
