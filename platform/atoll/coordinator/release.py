"""The former place of :mod:`atoll.releases`; goes once nobody imports it."""

from atoll.releases.folder import (
    expert_file,
    numbered,
    read_shared,
    release_folder,
    shared_digest,
    write_folder,
    write_release,
)
from atoll.releases.integration import integrate
from atoll.releases.members import check_consent, read_members, verify, verify_facts
from atoll.releases.opening import OpenRelease, open_release, read_release
from atoll.releases.release import Release, co_adapted, make_release, past_of

__all__ = [
    "OpenRelease",
    "Release",
    "check_consent",
    "co_adapted",
    "expert_file",
    "integrate",
    "make_release",
    "numbered",
    "open_release",
    "past_of",
    "read_members",
    "read_release",
    "read_shared",
    "release_folder",
    "shared_digest",
    "verify",
    "verify_facts",
    "write_folder",
    "write_release",
]
