"""``python -m atoll.benchmarks.stream mobility``, or ``text``: a stream, its ablations and its baselines over seeds."""

from atoll.benchmarks.stream.compare import main

if __name__ == "__main__":
    main()
