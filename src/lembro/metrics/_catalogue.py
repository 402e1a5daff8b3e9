"""The metrics, each with its name, unit and kind in Prometheus and in OpenTelemetry."""

from __future__ import annotations

from typing import Final, NamedTuple


class Metric(NamedTuple):
    """A metric that is read when it is collected."""

    value: str
    """Its key in the values of a reading: a field of the store's statistics, or an event."""
    prometheus: str
    """Its name in Prometheus. The name of a counter ends with ``_total``."""
    opentelemetry: str
    """Its name in OpenTelemetry."""
    unit: str
    """Its unit in OpenTelemetry, by UCUM."""
    text: str
    """Its description."""


GAUGES: Final = (
    Metric(
        "rotated",
        "lembro_rotated_keys",
        "lembro.rotated_key.count",
        "{key}",
        "Rotated session IDs that still work.",
    ),
    Metric(
        "used",
        "lembro_store_used_bytes",
        "lembro.store.usage",
        "By",
        "Bytes that the store uses. With a server such as Redis: all its data.",
    ),
    Metric(
        "max_size",
        "lembro_store_max_bytes",
        "lembro.store.limit",
        "By",
        "The maximum number of bytes that the store may use.",
    ),
    Metric(
        "oldest_visitor_age",
        "lembro_oldest_visitor_age_seconds",
        "lembro.oldest_visitor.age",
        "s",
        "Time since the last use of the session that is evicted next in tier 0.",
    ),
    Metric(
        "available",
        "lembro_store_up",
        "lembro.store.up",
        "1",
        "Whether the store answers: 1 or 0.",
    ),
    Metric(
        "breaker_open",
        "lembro_store_breaker_open",
        "lembro.store.breaker.open",
        "1",
        "Whether calls of the store fail at once, because it did not answer: 1 or 0.",
    ),
    Metric(
        "connections",
        "lembro_store_connections",
        "db.client.connection.count",
        "{connection}",
        "Connections to the store that are in use, in the fullest pool of this process.",
    ),
    Metric(
        "max_connections",
        "lembro_store_max_connections",
        "db.client.connection.max",
        "{connection}",
        "The maximum number of connections of this pool.",
    ),
)

COUNTERS: Final = (
    Metric(
        "created",
        "lembro_sessions_created_total",
        "lembro.session.created",
        "{session}",
        "Sessions that were stored for the first time.",
    ),
    Metric(
        "regenerated",
        "lembro_sessions_regenerated_total",
        "lembro.session.regenerated",
        "{session}",
        "Sessions that got a new session ID, by a login or otherwise.",
    ),
    Metric(
        "destroyed",
        "lembro_sessions_destroyed_total",
        "lembro.session.destroyed",
        "{session}",
        "Sessions that were ended on purpose.",
    ),
    Metric(
        "expired",
        "lembro_sessions_expired_total",
        "lembro.session.expired",
        "{session}",
        "Sessions that the store removed because they had expired.",
    ),
    Metric(
        "evicted",
        "lembro_sessions_evicted_total",
        "lembro.session.evicted",
        "{session}",
        "Sessions that the store evicted, for memory or for the limit of a user.",
    ),
    Metric(
        "rejected",
        "lembro_rejected_total",
        "lembro.rejected",
        "{rejection}",
        "Cookies that were not accepted, and records that could not be read.",
    ),
    Metric(
        "rejected_too_large",
        "lembro_sessions_too_large_total",
        "lembro.session.too_large",
        "{session}",
        "Writes that the store refused, because the session was larger than max_session_size.",
    ),
    Metric(
        "dropped",
        "lembro_changes_dropped_total",
        "lembro.change.dropped",
        "{change}",
        "Changes that could not be stored.",
    ),
    Metric(
        "conflict",
        "lembro_conflicts_total",
        "lembro.conflict",
        "{conflict}",
        "Requests that changed a value which another request had changed meanwhile.",
    ),
    Metric(
        "error",
        "lembro_errors_total",
        "lembro.error",
        "{error}",
        "Failures of the purge, and sessions that could not be extended.",
    ),
)

COUNTED_EVENTS: Final = (
    *("created", "regenerated", "destroyed"),
    *("rejected", "dropped", "conflict", "error"),
)
"""The events that are counted. The store itself counts sessions that expired or were evicted."""

SESSIONS: Final = Metric(
    "sessions",
    "lembro_sessions",
    "lembro.session.count",
    "{session}",
    "Stored sessions, by eviction tier: 0 (new visitors) to 4 (users), or all.",
)
