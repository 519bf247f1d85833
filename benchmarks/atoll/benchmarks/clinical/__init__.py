"""Patients of several institutions: what mixtures, baselines and a statistician's methods do for each of them.

=============  =====================================================================
``config``     the sites as a run of arriving silos
``outside``    logistic regression and boosted trees, and the matrix of sites
``fairness``   figures over sites and between groups of patients
``study``      study ``clinical``, which ties these together
=============  =====================================================================
"""
