"""Methods, one a file: routers in ``route``, integrators in ``integrate``."""
