"""The methods of a session that are about time: how long it lives, and when it ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import inf
from typing import TYPE_CHECKING, Literal

from ..errors import UsageError
from ..options import Seconds, seconds
from . import actions
from .commit import has_changed, is_empty
from .login import check_recent, login_age
from .state import COMMITTED, OPEN, SessionState

Ended = Literal["destroyed", "expired", "evicted", "replaced"]
"""The reasons why a session has ended; see ``TimedSession.wait_ended``."""


class TimedSession(SessionState):
    """The methods that :class:`~lembro.Session` has for time."""

    if TYPE_CHECKING:  # Session has them

        def _load(self) -> None: ...

        def _check_writable(self, *, cookie: bool = False) -> None: ...

    # -- the login ---------------------------------------------------------------------------------

    @property
    def authenticated_at(self) -> datetime | None:
        """The time of the login, in UTC; None if nobody is logged in, or if the time is unknown.

        It is unknown after ``login(fresh=False)`` and for an adopted legacy session. To require a
        recent login, call :meth:`require_recent`, which does not depend on the wall clock.
        """
        self._load_once()
        age = login_age(self, self._current_user())
        if age is None or age == inf:
            return None
        return datetime.now(UTC) - timedelta(seconds=age)

    def require_recent(self, within: Seconds) -> None:
        """Require a recent login, for sensitive actions (OWASP ASVS 5.0, 7.5.1).

        Args:
            within: The largest age of the login: seconds, or a timedelta.

        Raises:
            LoginRequired: nobody is logged in, or the login is older, or its age is unknown.
        """
        self._load_once()
        check_recent(self, self._current_user(), within)

    # -- the time that is left ---------------------------------------------------------------------

    @property
    def expires_in(self) -> float | None:
        """Seconds until the session ends if it is not used again; None if there is no session.

        Before the response begins, this request counts as a use, unless it is passive. So the value
        holds from the moment at which the response begins. It is exact by the store's clock.
        """
        left = self._left()
        return None if left is None else left[0]

    @property
    def expires_at(self) -> datetime | None:
        """When the session ends if it is not used again, in UTC; None if there is no session."""
        left = self._left()
        return None if left is None else datetime.now(UTC) + timedelta(seconds=left[0])

    @property
    def ends_in(self) -> float | None:
        """Seconds until the session ends even if it is used; None if there is no session.

        Infinite without an absolute timeout.
        """
        left = self._left()
        return None if left is None else left[1]

    def touch(self) -> None:
        """Extend the idle timeout, even if less than a tenth of it has passed.

        Before the response begins, the session is extended with the response. After that it is
        extended at once, for example in a WebSocket; in async code, await :meth:`atouch`.

        Raises:
            SessionGone: the session has ended since the response began.
        """
        if self._phase is COMMITTED:
            self._transport.runner.run_action(self, actions.touch)
        else:
            self._check_writable()
            self._touch = True

    async def atouch(self) -> None:
        """Extend the idle timeout; see :meth:`touch`."""
        await self._transport.runner.arun_action(self, actions.touch)

    def skip_touch(self) -> None:
        """Do not count this request as a use of the session, for example if a page polls.

        The request does not extend the session, even if it changes its data. A login and
        :meth:`touch` extend it all the same. For whole paths, there is the option ``passive``.
        """
        self._check_writable()
        self._passive = True

    # -- the end -----------------------------------------------------------------------------------

    async def wait_ended(self, *, poll: Seconds = 5) -> Ended:
        """Wait until the session has ended, and return the reason.

        If the session ends in this process, this returns at once. If another process ends it, this
        returns within ``poll``, because a store outside of the process is asked at this interval.
        If the session gets a new ID and the old one still works, the wait continues.

        Args:
            poll: The interval: seconds, or a timedelta. It is at most half of ``rotation_grace``.

        Returns:
            ``"destroyed"`` after a logout or a revocation, ``"expired"``, ``"evicted"``, or
            ``"replaced"`` if a login or the rotation of an anonymous session has made the ID stale.
            If another process has evicted the session, the reason is ``"destroyed"``.

        Raises:
            UsageError: there is no stored session.
        """
        wait = self._transport.runner.endings.wait
        reason: Ended = await wait(self._key_to_watch(), seconds("poll", poll, usual=60 * 60))
        return reason

    def on_ended(
        self, callback: Callable[[Ended], object], *, poll: Seconds = 5
    ) -> Callable[[], None]:
        """Call ``callback(reason)`` once, when the session has ended; for threads.

        It is called in another thread: the one in which the session was ended, or the one that asks
        the store. See :meth:`wait_ended`.

        Returns:
            A function that stops the watch. Call it when the callback is not needed any more.
        """
        watch = self._transport.runner.endings.watch
        stop: Callable[[], None] = watch(
            self._key_to_watch(), seconds("poll", poll, usual=60 * 60), callback
        )
        return stop

    # -- internal ----------------------------------------------------------------------------------

    def _mark_used(self) -> None:
        """Extend the session as ``touch()`` does, unless the request is passive.

        This is for the methods by which other libraries mark a session as changed.
        """
        self._load_once()
        if not self._passive:
            self.touch()

    def _load_once(self) -> None:
        if not self._ready:
            self._load()

    def _left(self) -> tuple[float, float] | None:
        """Return the seconds until the session ends without use, and until it ends in any case."""
        self._load_once()
        lifetimes = self._transport.runner.lifecycle.lifetimes
        found, empty = self._found, is_empty(self)
        idle: float = lifetimes.idle_now(self, empty=empty)
        if self._login is not None or self._destroy or self._key is None or found is None:
            life: float = lifetimes.life
            if self._current_user() is not None:
                life = lifetimes.life_of(self)
            return None if empty else (min(idle, life), life)
        if self._phase is not OPEN:
            idle = found.idle_left
        elif not (self._touch or (self._regenerate and not self._passive)):
            if has_changed(self):
                idle = lifetimes.idle_of_write(self, found, empty=empty)
            elif empty or not lifetimes.is_due(self, found):
                idle = found.idle_left
        return min(idle, found.life_left), found.life_left

    def _key_to_watch(self) -> tuple[bytes, str | None, float]:
        """Return the key and the user of the stored session, and the seconds that it has left."""
        if self._is_unused():
            self._load()
        found = self._found
        if self._key is None or found is None or self._destroy or self._login is not None:
            raise UsageError(
                "there is no stored session to wait for. Wait after the response "
                "has begun, or call session.save() (in async code `await session.asave()`) first"
            )
        return self._key, found.user, found.idle_left
