"""Pictures with one class each.

============  =====================================================================
``config``    what to read and how to split it
``sources``   folders of pictures and files of arrays
``convert``   any size and colours to what the anchor reads
``drawn``     pictures that everyone can draw
``public``    the anchor's own domain descriptor, from those
``workload``  :class:`Images`, which ties these together
============  =====================================================================
"""

from atoll.workloads.images.config import ImagesConfig
from atoll.workloads.images.workload import Images

__all__ = ["Images", "ImagesConfig"]
