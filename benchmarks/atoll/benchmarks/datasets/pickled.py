"""NumPy arrays in a pickle, read without running what it says.

A pickle is a program that may call any function of any module. Here it may name the three of numpy that an array is
made of; anything else ends the reading before it is looked up.
"""

import gzip
import pickle
from pathlib import Path
from typing import Any

from atoll.errors import DataError

_ADMITTED = frozenset(
    {("numpy", "dtype"), ("numpy", "ndarray"), ("numpy._core.multiarray", "_reconstruct")},
)


def read_arrays(path: Path) -> Any:
    """What is pickled in a gzip file: an array, or tuples and lists of arrays.

    Raises:
        DataError: no such file, no pickle, or a name that is not admitted, of which nothing was run.
    """
    try:
        with gzip.open(path) as stream:
            # What Python 2 pickled is text in this encoding.
            return _Reader(stream, encoding="latin1").load()
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:  # what is no pickle, or a broken one, raises errors of any kind
        raise DataError(f"{path}: no pickled arrays ({type(error).__name__}: {error})") from error


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """What the pickle calls by this name, where that is admitted."""
        # Where numpy 1 had what is pickled.
        module = module.replace("numpy.core.", "numpy._core.", 1)
        if (module, name) not in _ADMITTED:
            raise DataError(f"the pickle names {module}.{name}, which no array needs; it was not run")
        return super().find_class(module, name)
