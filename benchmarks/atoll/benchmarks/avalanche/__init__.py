"""Comparisons with Avalanche (Lomonaco et al. 2021, arXiv 2104.00405), the continual-learning library."""
