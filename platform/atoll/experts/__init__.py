"""Experts: their kinds, and the signed package in which one travels."""
