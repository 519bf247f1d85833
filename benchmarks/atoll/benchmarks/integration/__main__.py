"""``python -m atoll.benchmarks.integration``."""

from atoll.benchmarks.integration.compare import main

if __name__ == "__main__":
    # Everything else is in `compare`, because worker processes cannot import a `__main__`.
    main()
