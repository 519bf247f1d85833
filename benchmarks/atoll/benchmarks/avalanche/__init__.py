"""Comparisons with Avalanche (Lomonaco et al. 2021, arXiv 2104.00405), the continual-learning library.

==================  ==================================================================
``contexts``        a stream of labelled arrays, under one of three scenarios
``export``          such a stream as an Avalanche benchmark
``baselines``       Avalanche's strategies by name, with their options
``run``             what a strategy is trained and measured on
``budget``          steps and batches, alike for all
``train``           a strategy on a stream, measured after every context
``prepared``        what some strategies need beside options
``plugins``         what is added to Avalanche's classes
``results``         an Avalanche run's results as a matrix of ours
``mlflow_logger``   an MLflow logger for Avalanche, usable apart
``importing``       Avalanche beside a CPU build of torch
==================  ==================================================================

``plugins`` and ``mlflow_logger`` import Avalanche, which takes ten seconds; they are imported in functions only.
"""
