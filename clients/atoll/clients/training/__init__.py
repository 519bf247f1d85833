"""Training an expert against the frozen anchor."""
