"""Generators of replay, by registered name."""
