"""How a coordinator's federation stands: read by a person in a browser or a terminal, and by Prometheus."""
