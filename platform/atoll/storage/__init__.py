"""What lies on disk: one process to a folder."""
