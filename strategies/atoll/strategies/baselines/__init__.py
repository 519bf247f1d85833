"""What Atoll's streams are held against, by registered name: the whole model trained by other methods."""
