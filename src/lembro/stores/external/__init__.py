"""Stores outside of the process: the verbs are written once, for sync and async callers."""
