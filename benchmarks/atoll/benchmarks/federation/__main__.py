"""``python -m atoll.benchmarks.federation``: every engine with the same local training, beside Flower's own FedAvg.

See ``atoll.benchmarks.federation.compare`` for what is measured.
"""

from atoll.benchmarks.federation.compare import main

if __name__ == "__main__":
    main()
