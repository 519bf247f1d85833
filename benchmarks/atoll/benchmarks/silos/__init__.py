"""Streams of silos that hold parts of public data sets of pictures.

===========  =====================================================================
``study``    study ``silos``: data sets, dealt out to silos that arrive
``written``  a silo's pictures as a file that the workload ``images`` reads
===========  =====================================================================
"""
