"""Stores outside of the process. Their verbs are written once, for sync and async callers."""
