"""``atoll bench``: suites of methods, cases and seeds, each cell once, tracked and drawn.

=============  =====================================================================
``study``      the extension point: what one cell does
``outcome``    what a cell found
``suite``      a suite's YAML file, and its cells
=============  =====================================================================
"""
