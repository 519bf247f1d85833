"""Engines under the same Flower apps: here, the embedded one, with one worker process a silo."""
