"""The recipe of the default anchor: which public text, and how it was trained on it."""
