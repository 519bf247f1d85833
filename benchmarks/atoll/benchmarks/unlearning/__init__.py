"""Exits of owners beside unlearning: what is left of one in a mixture, and in a joint model that should forget it."""
