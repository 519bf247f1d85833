"""What a registered model consists of: where its release and ledger are, and by what digest it is known again.

No expert is copied into MLflow's store: whoever withdraws would have to be erased there too. Where the release is
moved, ``model_config`` or the environment says where it is now.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from atoll.config.decode import decode
from atoll.errors import ConfigError, DataError, MixtureError

FILE = "release-reference.json"
LOADER = "atoll.coordinator.mlflow_model.loading"
MOVED = {
    "release": "ATOLL_RELEASE",
    "ledger": "ATOLL_LEDGER",
    "anchor": "ATOLL_ANCHOR",
    "key": "ATOLL_RELEASE_KEY",
    "device": "ATOLL_DEVICE",
}
"""What may be elsewhere than where it was registered: the key of ``model_config``, and the variable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """Where a release is.

    Attributes:
        release: Its folder.
        digest: Of the release as it was made; what is found there is held against it.
        ledger: A file or a database URL; empty for that of the coordinator or run in whose folder the release is.
        anchor: Where the anchor is; empty for where the release says.
        key: Who must have signed it: hexadecimal digits, or a file; empty for whom this user trusts.
        device: To load to.
        workload: What it answers.
        classes: Names of the classes, in order, where the anchor does not say them.
    """

    release: str
    digest: str
    ledger: str = ""
    anchor: str = ""
    key: str = ""
    device: str = "cpu"
    workload: str = "text"
    classes: list[str] = field(default_factory=list)

    def save(self, folder: Path) -> None:
        """Write it into a folder."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Reference":
        """Read what :meth:`save` wrote.

        Raises:
            MixtureError: something else.
        """
        try:
            made = decode(json.loads((folder / FILE).read_text(encoding="utf-8")), cls, "reference")
        except (OSError, ValueError, DataError) as error:
            raise MixtureError(f"{folder}: is no registered release: {error}") from error
        assert isinstance(made, cls)
        return made

    def moved(self, given: Mapping[str, Any]) -> "Reference":
        """With what ``model_config`` says is elsewhere, or else the environment.

        Raises:
            ConfigError: it says something else.
        """
        if odd := sorted(set(given) - set(MOVED)):
            raise ConfigError(f"model_config: there is no '{odd[0]}'; there are {', '.join(MOVED)}")
        found = {name: os.environ.get(variable, "") for name, variable in MOVED.items()}
        found |= {name: str(value) for name, value in given.items() if value}
        return replace(self, **{name: value for name, value in found.items() if value})  # type: ignore[arg-type]


def write_model(reference: Reference, folder: Path) -> None:
    """Write what MLflow takes as a model, without a pickle: a reference, and which code loads it.

    Args:
        reference: Where the release is.
        folder: A new one.
    """
    import tempfile
    from importlib.metadata import version

    import mlflow.pyfunc

    from atoll.coordinator.mlflow_model.signature import signature_of

    with tempfile.TemporaryDirectory(prefix="atoll-") as made:
        reference.save(Path(made))
        mlflow.pyfunc.save_model(
            str(folder),
            loader_module=LOADER,
            data_path=made,
            signature=signature_of(reference),
            # MLflow lets nothing be said at loading that was not named here.
            model_config=dict.fromkeys(MOVED, ""),
            pip_requirements=[f"atoll=={version('atoll')}"],
        )
