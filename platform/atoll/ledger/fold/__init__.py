"""What each fact means: whether it can follow what is written, and what then is so."""
