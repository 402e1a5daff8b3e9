"""RedisStore: sessions in Redis or Valkey. ``store`` is the class, ``scripts`` are the verbs."""

from __future__ import annotations
