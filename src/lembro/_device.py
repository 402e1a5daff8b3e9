"""Describe a visitor's device."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Visitor:
    """Who sent a request."""

    user_agent: str
    address: str | None


def describe_device(user_agent: Visitor) -> str:
    return user_agent.user_agent[:60]
