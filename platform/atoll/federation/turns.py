"""One message at a time for each virtual silo. Flower's simulation would answer two at once, from the same state."""

import threading
from collections.abc import Callable, Mapping

from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.compat.client.run_info_store import DeprecatedRunInfoStore
from flwr.server.superlink.fleet.vce.backend import Backend


class InTurns(Backend):
    """A backend of Flower's simulation, in which a silo's messages wait for each other."""

    def __init__(self, backend: Backend, contexts: Mapping[int, DeprecatedRunInfoStore]) -> None:
        """Wrap.

        Args:
            backend: Does the work.
            contexts: Where Flower keeps what a node remembers, by node id.
        """
        self._backend, self._contexts = backend, contexts
        self._turns = {node: threading.Lock() for node in contexts}

    def build(self, app_fn: Callable[[], ClientApp]) -> None:
        """As the backend."""
        self._backend.build(app_fn)

    @property
    def num_workers(self) -> int:
        """As the backend."""
        return self._backend.num_workers

    def is_worker_idle(self) -> bool:
        """As the backend."""
        return self._backend.is_worker_idle()

    def terminate(self) -> None:
        """Nothing: who started Ray ends it, and all actors with it. Asked one by one, they would be heard."""

    def process_message(self, message: Message, context: Context) -> tuple[Message, Context]:
        """Answer, when the silo has answered what came before."""
        node, run = message.metadata.dst_node_id, message.metadata.run_id
        contexts = self._contexts[node]
        with self._turns[node]:
            # The one that we are given is from before the wait.
            reply, after = self._backend.process_message(message, contexts.retrieve_context(run))
            contexts.update_context(run, after)
        return reply, contexts.retrieve_context(run)
