"""``lembro demo``: a small café on the web, and what its session store does while you watch.

``app.py`` is the application as anybody would write it. ``live.py`` tells the page how the store
is doing, ``visitors.py`` and ``bots.py`` are the crowd, ``guard.py`` keeps other sites out, and
``server.py`` runs it all under uvicorn. What the browser gets is in ``static/``.
"""
