"""What a registered model is told beside its rows, by workload.

Rows are checked by who answers them, since MLflow would take no list of texts where columns have names.
"""

from typing import TYPE_CHECKING

from atoll.coordinator.mlflow_model.reference import Reference
from atoll.ledger import ANY

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

EVERYONE = ("*",)
"""The entitlement of all whom the ledger permits."""
PROMPT, CONTINUATION, IMAGE = "prompt", "continuation", "image"
TOKENS, TEMPERATURE, TOP_P, SEED = 64, 0.0, 1.0, 0


def signature_of(reference: Reference) -> "ModelSignature":
    """Its parameters. MLflow refuses values of other types, and fills in what is not given.

    ============  =======================================  =====================================================
    parameter     where                                    meaning
    ============  =======================================  =====================================================
    entitlement   everywhere                               owners that may answer, of those whom the ledger permits;
                                                           ``["*"]`` for all of these, ``[]`` for the anchor alone
    purpose       everywhere                               what the answers are for
    tokens        text                                     the most that are added; 0 for log-likelihoods alone
    temperature   text                                     0 for the likeliest token every time
    top_p         text                                     sample among the likeliest with this probability together
    seed          text                                     of sampling
    ============  =======================================  =====================================================
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ParamSchema, ParamSpec

    params = [ParamSpec("entitlement", "string", list(EVERYONE), shape=(-1,)), ParamSpec("purpose", "string", ANY)]
    if reference.workload == "text":
        params += [
            ParamSpec("tokens", "long", TOKENS),
            ParamSpec("temperature", "double", TEMPERATURE),
            ParamSpec("top_p", "double", TOP_P),
            ParamSpec("seed", "long", SEED),
        ]
    return ModelSignature(params=ParamSchema(params))
