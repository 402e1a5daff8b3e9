"""Stores in SQL databases. Several clients run the same statements."""
