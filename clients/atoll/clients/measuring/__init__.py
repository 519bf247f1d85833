"""Measuring for others: what may be asked, on which documents, how often, and what is made of losses."""
