"""Rows of the catalogue that are about a store outside of the process, over SQL servers."""
