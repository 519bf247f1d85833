"""The command line ``atoll``."""
