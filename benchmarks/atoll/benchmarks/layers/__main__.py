"""``python -m atoll.benchmarks.layers``: LoRA in the last layers of SmolLM2 against LoRA in all of them.

Same silo, same windows, same number of steps; what differs is how many layers have adapters, and so how much of the
model is computed once and cached (see ``atoll.clients.training.prefix``). Finished work is kept and not done again.
"""

from atoll.benchmarks.layers.compare import main

if __name__ == "__main__":
    main()
