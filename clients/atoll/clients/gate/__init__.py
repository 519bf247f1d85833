"""The institution's gate: all that comes in or goes out passes it, outside the process in which the work is done."""
