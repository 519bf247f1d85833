"""What people read of a run: figures, a page, tables and sentences, all from its results."""
