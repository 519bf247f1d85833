"""What MLflow calls to load a registered release."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atoll.coordinator.erasure.registration import ledger_of
from atoll.coordinator.mlflow_model.reference import Reference
from atoll.coordinator.mlflow_model.rows import probabilities
from atoll.coordinator.mlflow_model.signature import EVERYONE, IMAGE, PROMPT
from atoll.coordinator.mlflow_model.texts import continued
from atoll.coordinator.permitted import Permitted
from atoll.errors import ConfigError, MixtureError
from atoll.experts.signing import PublicKey
from atoll.ledger import ANY
from atoll.releases.opening import open_release
from atoll.releases.trust import Trust

if TYPE_CHECKING:
    import pandas as pd


class RegisteredRelease:
    """A release that answers in MLflow: before every answer its ledger is asked who may."""

    def __init__(self, reference: Reference) -> None:
        """Open it.

        Raises:
            MixtureError: it is gone, another than was registered, or without a ledger.
            PackageError, AnchorError, PluginError, LedgerError: it cannot be opened; the message says why.
        """
        self.reference = reference
        folder = Path(reference.release)
        if not folder.is_dir():
            raise MixtureError(
                f"{folder}: the registered release is not there; where it was moved, say so by model_config "
                "{'release': FOLDER} or in ATOLL_RELEASE"
            )
        # Older than the newest is what a version of a registry may be; which one is meant, its digest says.
        self._opened = open_release(
            folder, Trust(key=_key(reference.key), older=True), anchor=reference.anchor, device=reference.device
        )
        if self._opened.made != reference.digest:
            raise MixtureError(
                f"{folder}: is release {self._opened.made}, and {reference.digest} was registered; give its own folder"
            )
        found = ledger_of(folder, reference.ledger)
        if found is None:
            raise MixtureError(
                f"{folder}: there is no ledger beside the release that says who may answer; name it by model_config "
                "{'ledger': FILE_OR_URL} or in ATOLL_LEDGER"
            )
        self._ledger = found.__enter__()
        self._permitted(ANY)  # it is this release's
        self._one = threading.Lock()

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> "pd.DataFrame":
        """Answers, a row for each row that is given.

        Args:
            data: Rows: ``prompt`` and perhaps ``continuation``, a table's columns, or ``image`` as a file's bytes.
            params: See :func:`~atoll.coordinator.mlflow_model.signature.signature_of`.

        Raises:
            MixtureError: nobody permits it, or the entitlement names somebody who is not in the release.
            ConfigError, DataError: rows or parameters that cannot be.
        """
        import pandas as pd

        given = dict(params or {})
        rows = _table(data, IMAGE if self.reference.workload == "images" else PROMPT)
        with self._one:
            allowed = self._allowed(given.pop("entitlement", EVERYONE), str(given.pop("purpose", ANY)))
            if self.reference.workload == "text":
                return pd.DataFrame(continued(self._opened, rows, allowed, given))
            return pd.DataFrame(probabilities(self._opened, self.reference, rows, allowed))

    def _permitted(self, purpose: str) -> Permitted:
        return Permitted(self._ledger, self._opened.release, purpose, made=self._opened.made)

    def _allowed(self, entitlement: Sequence[str], purpose: str) -> list[str]:
        """Whom the ledger permits at this moment, and the entitlement too."""
        if isinstance(entitlement, str):
            raise ConfigError(f'entitlement is a list of owners, such as ["{entitlement}"]')
        named = list(entitlement)
        if named != list(EVERYONE):
            # Of the release as it was made: who was erased since is no stranger, and answers nothing.
            known = {member.owner for member in self._opened.release.members} | set(self._left())
            if odd := sorted(set(named) - known):
                raise MixtureError(f"not in this release: {', '.join(odd)}; it has {', '.join(sorted(known))}")
        permitted = self._permitted(purpose).owners()
        return [owner for owner in permitted if named == list(EVERYONE) or owner in named]

    def _left(self) -> list[str]:
        """Owners whose experts were erased from the folder."""
        from atoll.releases.folder import read_description

        made, _ = read_description(Path(self.reference.release))
        return [member.owner for member in made.members]


def _load_pyfunc(path: str, model_config: Mapping[str, Any] | None = None) -> RegisteredRelease:
    """The model in a folder that :func:`~atoll.coordinator.mlflow_model.reference.write_model` had MLflow write."""
    return RegisteredRelease(Reference.load(Path(path)).moved(model_config or {}))


def _table(data: Any, column: str) -> "pd.DataFrame":
    """What MLflow hands over as a table; values without a column's name are of the column that is meant."""
    import numpy as np
    import pandas as pd

    if isinstance(data, str | bytes):
        return pd.DataFrame({column: [data]})
    try:
        found = (
            data
            if isinstance(data, pd.DataFrame)
            else pd.DataFrame(list(data) if isinstance(data, np.ndarray) and data.ndim == 1 else data)
        )
    except (ValueError, TypeError) as error:
        raise ConfigError(f"rows are given as a table: {error}") from error
    return found.set_axis([column], axis=1) if list(found.columns) == [0] else found


def _key(text: str) -> PublicKey | None:
    if not text:
        return None
    try:
        return PublicKey.from_hex(text)
    except ConfigError:
        return PublicKey.load(Path(text))
