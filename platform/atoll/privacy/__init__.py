"""Measurements of what a release gives away: membership, extraction, uniqueness."""
