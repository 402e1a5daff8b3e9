"""A page for operators: live charts of the store, and the sessions of all users, to end them.

* ``asgi.py``, ``wsgi.py``: the applications to mount;
* ``handler.py``: the requests, without a framework;
* ``csrf.py``: the protection against other sites;
* ``listing.py``: the sessions, one page at a time;
* ``page.py``: the HTML;
* ``samples.py``: the statistics for the charts;
* ``static/``: scripts and styles, which the demo and the admin of Django use too.
"""

from __future__ import annotations

from .asgi import ASGIDashboard
from .wsgi import WSGIDashboard

__all__ = ["ASGIDashboard", "WSGIDashboard"]
