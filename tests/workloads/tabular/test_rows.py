import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.workloads.tabular.tables import HEADER, SCHEMA, write

from atoll.errors import DataError
from atoll.workloads.classification.samples import LabelledSamples
from atoll.workloads.reading import Tally
from atoll.workloads.tabular.rows import read_rows


def read(path: Path, invalid: str = "refuse") -> LabelledSamples:
    return read_rows([path], SCHEMA, invalid)


def test_numbers_are_standardised_and_values_are_bits(tmp_path: Path) -> None:
    found = read(write(tmp_path / "t.csv", f"60,{math.e},m,0", "45,1,f,3"))
    expected = np.array([[1.0, 0, 1, 0, 0, 1, 0], [-0.5, 0, 0, 0, 1, 0, 0]])
    assert np.allclose(np.asarray(found.values, dtype=float), expected, atol=1e-6)
    assert found.label.tolist() == [0, 1]


@pytest.mark.parametrize("row", [",-9,,0", "?,?,NA,0", "NaN,-9.0,?,0"])
def test_what_is_missing_is_a_bit_beside_the_centre(tmp_path: Path, row: str) -> None:
    assert read(write(tmp_path / "t.csv", row)).values.tolist() == [[0, 1, 0, 1, 0, 0, 1]]


def test_a_code_of_one_column_is_a_value_in_another(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 1: column 'age'"):
        read(write(tmp_path / "t.csv", "-9,1,f,0"))


def test_what_is_far_out_is_held(tmp_path: Path) -> None:
    assert read(write(tmp_path / "t.csv", "50,1e300,f,0")).values[0, 2] == 5


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("130,1,f,0", "column 'age' .* a number from 0 up to 120"),
        ("old,1,f,0", "column 'age'"),
        ("1_0,1,f,0", "column 'age'"),
        ("inf,1,f,0", "column 'age'"),
        ("50,0,f,0", "column 'tsh' .* above 0"),
        ("50,1,x,0", "column 'sex' .* one of f, m"),
    ],
)
def test_what_cannot_be_is_one_error_with_its_place(tmp_path: Path, row: str, told: str) -> None:
    path = write(tmp_path / "t.csv", "50,1,f,0", row)
    with pytest.raises(DataError, match=f"row 2: {told}") as error:
        read(path)
    assert str(path) in str(error.value)
    assert row not in str(error.value)


def test_or_it_is_taken_as_missing(tmp_path: Path) -> None:
    found = read(write(tmp_path / "t.csv", "130,0,x,1"), "missing")
    assert found.values.tolist() == [[0, 1, 0, 1, 0, 0, 1]]


@pytest.mark.parametrize("label", ["", "?"])
def test_a_row_without_a_class_is_an_error_even_where_any_value_is_one(tmp_path: Path, label: str) -> None:
    with pytest.raises(DataError, match="row 1: column 'target' says no class"):
        read(write(tmp_path / "t.csv", f"50,1,f,{label}"), "missing")


def test_a_class_that_is_not_named_is_an_error_where_there_is_no_other(tmp_path: Path) -> None:
    schema = replace(SCHEMA, label=replace(SCHEMA.label, values={}, otherwise=""))
    assert read_rows([write(tmp_path / "t.csv", "50,1,f,ill")], schema, "refuse").label.tolist() == [1]
    with pytest.raises(DataError, match="one of well, ill"):
        read_rows([write(tmp_path / "t.csv", "50,1,f,dead")], schema, "refuse")


def test_parquet_says_the_same_as_csv(tmp_path: Path) -> None:
    table = pa.table({"age": [60, None], "tsh": [1.0, -9.0], "sex": ["m", "f"], "target": [0, 2]})
    parquet.write_table(table, tmp_path / "t.parquet")
    there = read(tmp_path / "t.parquet")
    text = read(write(tmp_path / "t.csv", "60.0,1,m,0", ",-9,f,2.0"))
    assert there.values.tolist() == text.values.tolist()
    assert there.label.tolist() == text.label.tolist()


def test_persons_are_the_same_in_every_file(tmp_path: Path) -> None:
    schema = replace(SCHEMA, person="who")
    header = f"{HEADER},who"
    one = write(tmp_path / "a.csv", "50,1,f,0,007", "51,1,f,0,7", header=header)
    two = write(tmp_path / "b.csv", "52,1,f,0,7", header=header)
    person = read_rows([one, two], schema, "refuse").person
    assert person is not None
    assert person[0] != person[1] == person[2]
    with pytest.raises(DataError, match="row 1: column 'who' names no person"):
        read_rows([write(tmp_path / "c.csv", "50,1,f,0,", header=header)], schema, "refuse")


def test_a_file_without_a_column_says_which(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'sex'"):
        read(write(tmp_path / "t.csv", "50,1,0", header="age,tsh,target"))
    with pytest.raises(DataError, match="there is no row"):
        read(write(tmp_path / "t.csv"))


def test_a_value_of_the_schema_beats_a_code_for_missing(tmp_path: Path) -> None:
    columns = [replace(each, values=["NA", "f", "?"]) if each.name == "sex" else each for each in SCHEMA.columns]
    schema = replace(SCHEMA, columns=columns)
    found = read_rows([write(tmp_path / "t.csv", "50,1,NA,0", "50,1,?,0", "50,1,,0")], schema, "refuse")
    assert found.values[:, 4:].tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_bad_rows_are_counted_by_kind(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "50,1,f,0", "130,1,f,0", "50,1,f,", "50,1", *["old,1,f,0"] * 9)
    with pytest.raises(DataError, match=r"12 records cannot be read"):
        read(path)
    tally = Tally("skip")
    assert len(read_rows([path], SCHEMA, "refuse", tally)) == 1
    assert tally.report().skipped == {
        "row with another number of columns": 1,
        "value that cannot be in 'age'": 10,
        "row without a class": 1,
    }


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'note' stands there more than once"):
        read(write(tmp_path / "t.csv", "50,1,f,0,a,b", header=f"{HEADER},note,note"))
