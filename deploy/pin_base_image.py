"""Write the digest of the base image into a Dockerfile: ``FROM python:3.11-slim`` gets ``@sha256:…``.

It asks Docker's registry, as `docker pull` does, for the manifest's digest. Nothing is downloaded but that.
"""

import json
import re
import sys
import urllib.request
from pathlib import Path

_REGISTRY, _AUTH = "https://registry-1.docker.io", "https://auth.docker.io"
_KINDS = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_FROM = re.compile(r"^FROM (?P<name>[a-z0-9/._-]+):(?P<tag>[A-Za-z0-9._-]+)(@sha256:[0-9a-f]{64})?$", re.MULTILINE)


def digest_of(name: str, tag: str) -> str:
    """The digest of an image's manifest, for all platforms.

    Raises:
        OSError: the registry does not answer.
        ValueError: it answers something else.
    """
    repository = name if "/" in name else f"library/{name}"
    address = f"{_AUTH}/token?service=registry.docker.io&scope=repository:{repository}:pull"
    with urllib.request.urlopen(address, timeout=20) as answer:
        token = json.load(answer)["token"]
    headers = {"Authorization": f"Bearer {token}", "Accept": _KINDS}
    request = urllib.request.Request(f"{_REGISTRY}/v2/{repository}/manifests/{tag}", headers=headers, method="HEAD")
    with urllib.request.urlopen(request, timeout=20) as answer:
        digest = str(answer.headers["docker-content-digest"])
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"the registry gives the digest {digest[:80]!r}")
    return digest


def main() -> int:
    """Exit with 1, and change nothing, where no registry answers."""
    path = Path(sys.argv[1])
    text = path.read_text("utf-8")
    found = _FROM.search(text)
    if found is None:
        print(f"{path}: has no line FROM name:tag", file=sys.stderr)
        return 2
    try:
        digest = digest_of(found["name"], found["tag"])
    except (OSError, ValueError, KeyError) as error:
        print(f"no registry answers ({error}); {path} is left as it is: run this where one is at hand", file=sys.stderr)
        return 1
    path.write_text(_FROM.sub(f"FROM {found['name']}:{found['tag']}@{digest}", text, count=1), encoding="utf-8")
    print(f"{path}: {found['name']}:{found['tag']} is {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
