"""Causal language modelling over local text.

==============  ===========================================================================
``config``      what to read and how to split it
``files``       paths, folders and globs to a sorted list of files
``sources``     files to documents, one at a time
``parquet``     the reader of Parquet columns
``split``       train, validation or test, by a hash of the document
``check``       everything that can be wrong with the data, found before any training
``tokens``      documents to token files, once
``store``       the token files: format, verification, reading
``order``       a permutation of the training windows without memory
``workload``    :class:`Text`, which ties these together
``loss``        next-token loss
==============  ===========================================================================
"""

from atoll.workloads.text.config import TextConfig
from atoll.workloads.text.workload import Text

__all__ = ["Text", "TextConfig"]
