"""Theory of mixtures of experts in continual learning, simulated (Li et al., ICLR 2025, arXiv 2406.16437).

=============  =====================================================================
``world``      tasks in clusters, and the data of a round: linear regression with fewer samples than dimensions
``formula``    what a single expert forgets and how it generalizes, in closed form
``router``     the linear router, its two auxiliary losses, and when its updates end
``simulate``   many streams side by side, with any way of choosing the expert
``study``      study ``moe-theory``: a single expert, a mixture, and oracle routing
``figure``     the pictures, and a table; ``python -m atoll.benchmarks.theory.figure``
=============  =====================================================================

Arrays carry their shape as a suffix: S streams, N tasks, M experts, D dimensions, I samples of a round.
"""
