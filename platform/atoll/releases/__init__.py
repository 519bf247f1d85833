"""Releases: integrated, signed, written and opened in one place, for coordinator, node and serving."""
