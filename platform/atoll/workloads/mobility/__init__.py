"""Next-location prediction on the trajectories of cities that share no locations.

====================  =====================================================================
``config``            what to read and how to split it
``lines``             the reader and writer of MoveGCL's published trajectory lines
``table_config``      how a table of positions becomes a city and trajectories
``columns``           the reader of the columns of such a table
``table``             positions and points of interest from Parquet and CSV
``grid``              positions to a city of square cells, stays and trajectories
``generator_config``  what a generated city and its people are like
``generator_map``     a made city: where its locations are, and what is there
``generator_tastes``  what attracts the people of a city, and when they move
``generator``         exploration and preferential return through days and nights
``sources``           from a configuration to a city and its trajectories
``city``              locations, what is known of them, and distances
``city_file``         a city as bytes that travel
``features``          the columns of a table of locations
``trajectories``      visits by column
``measures``          jumps, radius of gyration, location entropy
``split``             train, validation or test, by a hash of the user
``batches``           trajectories side by side
``workload``          :class:`Mobility`, which ties these together
``scores``            loss, accuracy and reciprocal rank of the next location
``public``            the anchor's own domain descriptor, from a generated city
====================  =====================================================================
"""

from atoll.workloads.mobility.config import MobilityConfig
from atoll.workloads.mobility.workload import Mobility

__all__ = ["Mobility", "MobilityConfig"]
