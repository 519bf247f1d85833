"""A reader of pickled data frames that runs nothing but what makes arrays and frames.

A pickle is a program: it may name any function of any module, and reading it calls them. Here it may name the few of
numpy and pandas that a data frame is made of, and Python's ``slice``; anything else ends the reading before it is
looked up.
"""

import pickle
from pathlib import Path
from typing import Any

import pandas as pd

from atoll.errors import DataError

_ADMITTED = frozenset(
    {
        ("builtins", "slice"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy._core.multiarray", "_reconstruct"),
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
            found = _Reader(stream).load()
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except Exception as error:  # what is no pickle, or a broken one, raises errors of any kind
        raise DataError(f"{path}: no pickled data frame ({type(error).__name__}: {error})") from error
    if not isinstance(found, pd.DataFrame):
        raise DataError(f"{path}: a pickled {type(found).__name__}, not a data frame")
    return found


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """What the pickle calls by this name, where that is admitted."""
        # Where numpy 1 had what is pickled.
        module = module.replace("numpy.core.", "numpy._core.", 1)
        if (module, name) not in _ADMITTED:
            raise DataError(f"the pickle names {module}.{name}, which no data frame needs; it was not run")
        return super().find_class(module, name)
