"""How the chosen experts are run: the same sums, computed in different ways.

Pure functions on tensors, differentiable throughout; each backend gives the same values and gradients as the others, up
to the order of additions. :mod:`~atoll.mixture.backends.lora` adds low-rank changes,
:mod:`~atoll.mixture.backends.feed_forward` mixes whole feed-forward blocks, and
:mod:`~atoll.mixture.backends.choose` says which backend to take.

A choice whose weight is zero is not used: it adds nothing, whatever its expert would have computed, and has no
gradient. So an expert outside the entitlement cannot spoil an answer, not even with an overflow.

Shape suffixes: T tokens, K choices of a token, M choices in use (at most T·K), N slots with the anchor first, E = N - 1
experts, D and O dimensions in and out, H hidden, R rank.
"""
