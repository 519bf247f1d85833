"""Who holds which samples: ways to deal a pool of labelled samples out to silos, each a function of pool and seed.

=================  ===============================================================================
``partition``      the extension: a pool, the parts it is dealt into, and what all of them promise
``natural``        a silo is where a sample comes from
``dirichlet``      silos differ in how often each class is found (label skew)
``class_split``    each class is at one silo only (class-incremental silos)
``quantity``       silos differ in size
``feature_shift``  silos' pictures look different
``drifting``       a silo's classes or looks change over stages
``look``           how pictures look at a silo: turned, noisy, of other contrast, inverted
``shares``         whole numbers in given proportions
``pictures``       data sets of pictures as one pool
``read``           a partition from a line of text
``figures``        pictures of partitions
``plot``           ``python -m atoll.benchmarks.partitions.plot --help``
=================  ===============================================================================
"""
