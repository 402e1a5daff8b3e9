"""Caches over a lembro store: for cachelib, Django CACHES and Litestar."""
