"""Streams of arriving silos, stage by stage, and what people see of them."""
