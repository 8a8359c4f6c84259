"""Rows as columns: which column has which role, and how its ids and times are read."""
