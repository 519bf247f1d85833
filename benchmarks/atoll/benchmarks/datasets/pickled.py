"""Pickles that are read without running what they say.

A pickle is a program: it may name any function of any module, and reading it calls them. Here it may name the few that
arrays, or whatever is looked for, are made of; anything else ends the reading before it is looked up.
"""

import gzip
import pickle
from pathlib import Path
from typing import IO, Any

from atoll.errors import DataError

Names = frozenset[tuple[str, str]]
"""Of modules and of what is in them."""

ARRAY: Names = frozenset({("numpy", "dtype"), ("numpy", "ndarray"), ("numpy._core.multiarray", "_reconstruct")})
"""What arrays of numbers are made of."""


def read_arrays(path: Path) -> Any:
    """What is pickled in a gzip file: an array, or tuples and lists of arrays.

    Raises:
        DataError: no such file, no pickle, or a name that is not admitted, of which nothing was run.
    """
    try:
        with gzip.open(path) as stream:
            # What Python 2 pickled is text in this encoding.
            return Reader(stream, ARRAY, "array", encoding="latin1").load()
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:  # what is no pickle, or a broken one, raises errors of any kind
        raise DataError(f"{path}: no pickled arrays ({type(error).__name__}: {error})") from error


class Reader(pickle.Unpickler):
    """A reader that looks up admitted names alone."""

    def __init__(self, stream: IO[bytes], admitted: Names, what: str, *, encoding: str = "ASCII") -> None:
        """For a pickle of ``what``, which these names are needed for."""
        super().__init__(stream, encoding=encoding)
        self._admitted, self._what = admitted, what

    def find_class(self, module: str, name: str) -> Any:
        """What the pickle calls by this name.

        Raises:
            DataError: it is not admitted.
        """
        # Where numpy 1 had what is pickled.
        module = module.replace("numpy.core.", "numpy._core.", 1)
        if (module, name) not in self._admitted:
            raise DataError(f"the pickle names {module}.{name}, which no {self._what} needs; it was not run")
        return super().find_class(module, name)
