"""Routers: which experts answer, and with what weight."""
