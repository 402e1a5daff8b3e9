"""``lembro demo``: a small café on the web that shows its session store live.

* ``app.py``: the application;
* ``live.py``: sends the store's statistics to the page;
* ``visitors.py`` and ``bots.py``: simulated visitors;
* ``guard.py``: refuses requests from other sites;
* ``server.py``: runs the demo under uvicorn;
* ``static/``: the page.
"""
