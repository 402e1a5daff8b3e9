"""The runtime: runs the flows of the core against a store, sync and async."""
