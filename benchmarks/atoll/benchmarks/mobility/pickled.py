"""A reader of pickled data frames that runs nothing but what makes arrays and frames.

A pickle may name the few of numpy and pandas that a data frame is made of, and Python's ``slice``.
"""

from pathlib import Path

import pandas as pd

from atoll.benchmarks.datasets.pickled import ARRAY, Reader
from atoll.errors import DataError

_ADMITTED = ARRAY | frozenset(
    {
        ("builtins", "slice"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy._core.numeric", "_frombuffer"),
        ("pandas", "DataFrame"),
        ("pandas", "Index"),
        ("pandas", "RangeIndex"),
        ("pandas._libs.internals", "_unpickle_block"),
        ("pandas.core.frame", "DataFrame"),
        ("pandas.core.indexes.base", "Index"),
        ("pandas.core.indexes.base", "_new_Index"),
        ("pandas.core.indexes.range", "RangeIndex"),
        ("pandas.core.internals.managers", "BlockManager"),
    }
)


def read_frame(path: Path) -> pd.DataFrame:
    """The data frame in a pickle.

    Raises:
        DataError: no such file; something else than a data frame; or a name that is not admitted, of which nothing
            was run.
    """
    try:
        with path.open("rb") as stream:
            found = Reader(stream, _ADMITTED, "data frame").load()
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except Exception as error:  # what is no pickle, or a broken one, raises errors of any kind
        raise DataError(f"{path}: no pickled data frame ({type(error).__name__}: {error})") from error
    if not isinstance(found, pd.DataFrame):
        raise DataError(f"{path}: a pickled {type(found).__name__}, not a data frame")
    return found
