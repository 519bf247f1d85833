"""Suites of streams: silos arrive one after the other, and every method is measured on all of them."""
