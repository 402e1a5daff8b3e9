"""RedisStore: sessions in Redis or Valkey. ``store`` has the class, ``scripts`` has the verbs."""

from __future__ import annotations
