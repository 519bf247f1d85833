"""What one of Ray's actors runs for a message; it serves several silos, one message at a time."""

import contextlib
import importlib
import traceback
from pathlib import Path

from flwr.app import Context, Error, Message
from flwr.clientapp import ClientApp
from flwr.common.constant import PARTITION_ID_KEY, ErrorCode

from atoll.errors.explain import explained


class VirtualSilos(ClientApp):
    """Passes messages on to the ``ClientApp`` that every silo has, loaded by its name in the actor."""

    def __init__(self, client_app: str, logs: list[Path]) -> None:
        """Nothing is loaded yet; this object travels to the actor with each message.

        Args:
            client_app: ``module:attribute``.
            logs: File for what the silo's ``ClientApp`` prints, by partition.
        """
        super().__init__()
        self._client_app, self._logs = client_app, logs

    def __call__(self, message: Message, context: Context) -> Message:
        """Answer; what goes wrong is an answer too, told as the embedded engine tells it."""
        log = self._logs[int(context.node_config[PARTITION_ID_KEY])]
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as out, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            try:
                return load_client_app(self._client_app)(message, context)
            except Exception as error:
                traceback.print_exc()
                reason = str(explained(error) or f"{type(error).__name__}: {error}")
                return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason), reply_to=message)


def load_client_app(path: str) -> ClientApp:
    """The ``ClientApp`` at ``module:attribute``."""
    module, _, attribute = path.partition(":")
    app = getattr(importlib.import_module(module), attribute)
    assert isinstance(app, ClientApp)
    return app
