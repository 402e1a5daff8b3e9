"""The time that a session adds to a request, one module a framework: ``contenders()``, of which the
first is the bare application, for ``bench.requests.measure``."""
