"""Let pytest rewrite the assertions of the suites, so that a failure shows the values.

pytest rewrites only test modules, unless it is told of others before they are imported.
"""

from __future__ import annotations

import sys
from contextlib import suppress

_MODULES = ("_async", "_contract", "_machine", "_model", "_races")

with suppress(KeyError):  # no other runner rewrites assertions
    sys.modules["pytest"].register_assert_rewrite(*(f"{__package__}.{name}" for name in _MODULES))
