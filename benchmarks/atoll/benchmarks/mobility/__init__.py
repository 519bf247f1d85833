"""What mobility is measured beside: baselines that learn nothing, and one real city."""
