"""Workloads: what a sample, a batch, a loss and a split are, for one kind of data.

One folder a workload, registered under the entry-point group ``atoll.workloads``. A workload reads an owner's local
files and never sends anything: what leaves a silo is decided above, in the client.

==================  =====================================================================
``workload``        the extension point
``data``            the configuration of an owner's data, and which workload it means
``files``           paths, folders and globs to files
``tables``          the reader of Parquet and CSV
``order``           which samples come when
``replayed``        replay as batches to train on
``text``            causal language modelling over plain text, JSON lines and Parquet
``mobility``        next-location prediction over trajectories of cities
``classification``  what workloads of single samples with one class each have in common
``images``          pictures with one class each
``tabular``         rows of tables with a public schema and one class each
==================  =====================================================================
"""
