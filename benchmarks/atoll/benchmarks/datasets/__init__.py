"""Public data sets, read from files of installed packages whose digests are known; no package is imported for it.

==================  ==================================================================
``images``          pictures with labels by name: what all of these give
``mnist``           handwritten digits, 70,000
``fashion_mnist``   articles of clothing, 70,000
``animal_shapes``   silhouettes of animals, 9,716
``digits``          handwritten digits of 8 x 8, 1,797
``files``           a file of a package, if it is the one that is known
``pickled``         pickles that are read without running them
==================  ==================================================================
"""
