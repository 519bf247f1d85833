"""After a withdrawal: where copies of the expert are, and how each holder erases its own and says so."""
