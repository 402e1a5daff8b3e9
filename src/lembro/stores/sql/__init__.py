"""Stores in SQL databases: the same statements as text, over several clients."""
