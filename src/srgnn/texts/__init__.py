"""Texts of items as vectors: encoders, and the file of the vectors."""
