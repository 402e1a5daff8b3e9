"""Metrics and traces of the sessions.

* ``lembro.metrics.prometheus``: a collector for prometheus_client.
* ``lembro.metrics.opentelemetry``: instruments and spans for OpenTelemetry.

Both measure a :class:`~lembro.SessionManager`. Neither is imported before you import it, and a
manager that is not measured calls its store directly.
"""

from __future__ import annotations

__all__: list[str] = []
