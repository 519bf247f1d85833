"""What study ``mixture-speed`` can time, and what each of it can do."""

from atoll.benchmarks.speed.case import Case

ATOLL = "atoll"
DENSE = "dense"
KERNELS = ("eager", "batched_mm", "grouped_mm")
PREFIX = "transformers-"
MOE_METHODS = tuple(f"{PREFIX}{kernel}" for kernel in KERNELS)
MIXED, X_LORA, ARROW = PEFT_METHODS = ("peft-mixed-batch", "x-lora", "arrow")

METHODS = {
    ATOLL: "the mixture, under router top-k",
    DENSE: "the anchor without experts: the limit",
    **{f"{PREFIX}{kernel}": f"FlexOlmo or Mixtral with experts by {kernel}; ffn only" for kernel in KERNELS},
    MIXED: "PEFT, one adapter a sample in one batch (adapter_names); lora only",
    X_LORA: "PEFT, X-LoRA: two passes, all adapters on every token; lora only",
    ARROW: "PEFT, Arrow: all adapters on every token, the best few kept; lora only",
}
"""By name, with a line about each."""


def peers(case: Case) -> list[str]:
    """The methods that can do what the case asks, besides Atoll and the anchor."""
    if case.kind == "ffn":
        return list(MOE_METHODS)
    # X-LoRA freezes adapters by itself; adapters by name and Arrow have no router that could be trained.
    return {"inference": [*PEFT_METHODS], "expert": [MIXED, ARROW], "router": [X_LORA]}[case.action]
