"""Split data sets in three scenarios, after van de Ven and Tolias 2019 (arXiv 1904.07734).

============  =====================================================================
``study``     study ``split-digits``
``data``      a data set of pictures as arrays for training, validation and test
``networks``  a perceptron and a variational autoencoder
``scholar``   deep generative replay, with distillation
``own``       methods over a stream that are none of Avalanche's
``measure``   accuracy by context
``arrivals``  study ``split-arrivals``: contexts as silos over a frozen anchor
``vectors``   what the anchor's stem says of silos, as a stream of arrays
``routing``   how well such silos can be told apart
============  =====================================================================
"""
