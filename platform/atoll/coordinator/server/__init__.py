"""A coordinator that stays up: owners come and go, experts arrive when they are ready, nothing waits for anyone."""
