"""Releases as models of MLflow's registry, which `mlflow.pyfunc.load_model` and `mlflow models serve` answer with.

=============  =====================================================================
``reference``  what a registered model consists of: where its release is, and its digest
``loading``    what MLflow calls to load one
``signature``  what goes in and out, by workload
``rows``       rows and pictures to probabilities of classes
``texts``      prompts to texts and log-likelihoods
=============  =====================================================================
"""
