"""Integrators: how expert packages become a mixture, without anyone's data."""
