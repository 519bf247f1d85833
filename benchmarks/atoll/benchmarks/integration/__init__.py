"""The main comparison: mixtures, soups and ensembles of the same experts, over seeds."""
