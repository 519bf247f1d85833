"""A plain Flower app: its own FedAvg under ``run_simulation``, with nothing of Atoll's but the client's training."""

import logging
import time
from collections.abc import Iterable, Sequence

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from atoll.benchmarks.federation.client import app as client_app
from atoll.benchmarks.federation.client import work_unit
from atoll.benchmarks.federation.session import Round, Session, seen
from atoll.federation.ray_session import no_resource_warnings, ray_session


class TimedFedAvg(FedAvg):
    """Flower's, with a look at the clock before messages are handed over and when all replies are there."""

    def __init__(self, silos: int, seeds: Sequence[int]) -> None:
        """Every silo trains in every round, and none evaluates.

        Args:
            silos: How many.
            seeds: One a round.
        """
        super().__init__(fraction_evaluate=0.0, min_train_nodes=silos, min_available_nodes=silos)
        self.rounds: list[Round] = []
        self.first_answered = 0.0
        self._seeds = seeds
        self._sent: list[Message] = []
        self._began = 0.0

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Begin a round."""
        config["seed"] = self._seeds[server_round - 1]
        self._began = time.perf_counter()
        self._sent = list(super().configure_train(server_round, arrays, config, grid))
        return self._sent

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """End a round."""
        ended = time.perf_counter()
        self.first_answered = self.first_answered or ended
        replies = list(replies)
        self.rounds.append(seen(ended - self._began, self._sent, replies))
        return super().aggregate_train(server_round, replies)


def fedavg(silos: int, parallel: int, seeds: Sequence[int], steps: int) -> Session:
    """Run it.

    Args:
        silos: How many.
        parallel: How many may work at once.
        seeds: One a round; there is a round before them, which starts everything.
        steps: Of training, in each unit.
    """
    from flwr.simulation import run_simulation
    from flwr.supercore import telemetry

    telemetry.FLWR_TELEMETRY_ENABLED = "0"  # its variable was read when Flower was imported
    logging.getLogger("flwr").setLevel(logging.ERROR)
    strategy = TimedFedAvg(silos, [seeds[0], *seeds])
    server_app = ServerApp()

    @server_app.main()
    def main(grid: Grid, context: Context) -> None:
        unit = work_unit(seeds[0], steps)
        strategy.start(
            grid,
            unit.array_records["arrays"],
            num_rounds=len(seeds) + 1,
            train_config=unit.config_records["config"],
        )

    began = time.perf_counter()
    with ray_session(parallel, {}), no_resource_warnings():
        run_simulation(
            server_app, client_app, silos, backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}}
        )
    return Session(strategy.first_answered - began, tuple(strategy.rounds[1:]))
