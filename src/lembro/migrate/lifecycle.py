"""Adopt legacy sessions (``migrate_from``): the lifecycle with cookies of other libraries.

* A legacy session becomes a session under a new ID when its request is committed, even if the
  request changed nothing. The changes of the request are then committed as usual.
* It is adopted once. The store adds the session together with a mark, under a hash of the legacy
  identity, and no second request can add that mark. The mark points to the session, like a rotated
  key, for as long as the legacy cookie may be valid.
* Concurrent requests with the cookie follow the mark to the session, and all set the same new
  cookie. They can do so within the grace, and later until a request has sent the new cookie. So a
  lost response does not log the user out. After that, or once the session has ended or its ID was
  rotated, the legacy cookie is stale. A rotation in the first request counts too. Otherwise an
  attacker who has the legacy cookie could get the ID of a session to which another user logged in.
* If the store cannot keep a mark, legacy cookies are not accepted.
* After a handler that failed, nothing is adopted; a logout takes effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b, sha256
from math import inf
from secrets import token_bytes
from typing import Any, cast

from .._core import codec
from .._core.commit import has_changed, is_written, marked
from .._core.effects import Call, Flow
from .._core.lifecycle import Lifecycle
from .._core.load import Lost, follow_rotation, use_record
from .._core.state import LIVE, NOT_LOADED, Loaded, SessionState, SetCookie
from .._core.views import flush_views
from .._log import log
from ..errors import CodecError, SessionTooLarge, StoreError
from ..events import Event
from ..ids import SessionID, handle_for, id_of, key_for
from ..stores.base import MARK, NO_ROOM, Found, Record
from .source import LegacyCookie, LegacySession, Rejection, Source


class Adoption:
    """A legacy session that came with a request, adopted before or to be adopted now."""

    def __init__(self, source: Source, legacy: LegacySession) -> None:
        identity = legacy.identity
        if isinstance(identity, str):
            identity = identity.encode("utf-8", "surrogatepass")
        self.name: str = source.name
        # Libraries that count whole seconds accept a cookie for up to one more.
        self.life: float = max(source.life, legacy.lifetime) + 1.0
        self.user: str | None = legacy.user
        self.key: bytes = MARK + sha256(b"lembro adopted " + identity).digest()[len(MARK) :]
        self._identity = identity
        self.meta: codec.Meta = {"adopted": token_bytes(32)}
        if legacy.remember:
            self.meta["remember"] = True
        self.became: tuple[bytes, Found] | None = None
        """The key and record of the session, if another request has adopted it."""

    def id_from(self, meta: codec.Meta, id_of: Callable[[bytes], SessionID] = id_of) -> str | None:
        """Derive the ID of the session from its nonce and the legacy identity.

        All requests with the legacy cookie derive the same ID, so all their responses set the same
        cookie. The session keeps the nonce until a request has sent its new cookie. ``id_of`` makes
        the ID of 32 bytes.
        """
        nonce = meta.get("adopted")
        if not isinstance(nonce, bytes):
            return None
        digest = blake2b(self._identity, key=nonce, digest_size=32, person=b"lembro adopted")
        return id_of(digest.digest())


class MigratingLifecycle(Lifecycle):
    """A lifecycle that adopts legacy sessions."""

    _warned = False  # that no more legacy cookies are accepted

    def finish_load(
        self, session: SessionState, key: bytes | None, found: Found | None
    ) -> Flow[None] | None:
        """Use what the store holds. Without a session cookie, look for a legacy one."""
        presented = session._presented
        if key is None and presented.legacy and not (presented.problem or presented.several):
            return self._load_legacy(session)
        return super().finish_load(session, key, found)

    def has_nothing_to_commit(self, session: SessionState) -> bool:
        """Return whether a commit would do nothing."""
        if session._loaded is NOT_LOADED or session._preloaded:
            return True
        if session._adoption is not None or _cookie_came_back(session):
            return False
        return super().has_nothing_to_commit(session)

    def _only_writes(self, session: SessionState) -> bool:
        if session._adoption is not None or _cookie_came_back(session):
            return False
        return super()._only_writes(session)

    def _load_legacy(self, session: SessionState) -> Flow[None]:
        for cookie in cast("Iterable[LegacyCookie]", session._presented.legacy):
            legacy = yield from _read(cookie)
            if isinstance(legacy, Rejection):
                session._events.append(Event("rejected", reason=legacy.reason))
            elif legacy.data or legacy.user is not None:
                adoption = Adoption(cookie.source, legacy)
                yield from _load_adoption(session, adoption, legacy, self.writer.grace)
                break

    def _commit(self, session: SessionState, failed: bool) -> Flow[None]:
        adoption = _adoption_of(session)
        if adoption is not None and adoption.became is None:
            if failed and not session._destroy:
                _forget(session, Loaded.NEW)
            else:
                yield from self._adopt(session, adoption)
        elif not failed and _cookie_came_back(session):  # the nonce is not needed any more
            session._meta = {**session._meta, "adopted": True}
            session._assigned = True
        before = len(session._events)
        yield from super()._commit(session, failed)
        session._adoption = None
        if adoption is None:
            return
        if isinstance(session._cookie, SetCookie) and (
            session._key is None or any(e.name == "dropped" for e in session._events[before:])
        ):
            session._cookie = None  # it ended between the adoption and the request's changes
        if adoption.became is not None and session._cookie is None:
            yield from self._send_same_cookie(session, adoption, *adoption.became)

    def _adopt(self, session: SessionState, adoption: Adoption) -> Flow[None]:
        """Add the session and its mark, or join the request that was first."""
        writer, meta = self.writer, adoption.meta
        user = adoption.user
        data, per_user = codec.decode(session._payload)[1], writer.per_user
        if session._destroy:  # only the mark is needed
            data, per_user = {}, None
        payload = marked(codec.encode(meta, data))
        session_id = adoption.id_from(meta, writer.id_of)
        assert session_id is not None
        key = key_for(session_id)
        reputation = yield from writer.reputation_for(session)
        record = Record(payload, user, None, reputation)
        keywords: dict[str, Any] = {
            "expected": None,
            "idle": self.lifetimes.idle_of(meta, user),
            "life": self.lifetimes.life,
            "grace": adoption.life,
            "per_user": None if user is None else per_user,
        }
        try:
            held: Found | None = yield Call("replace", (adoption.key, key, record), keywords)
        except SessionTooLarge as error:
            reason = f"the legacy cookie {adoption.name!r}: {error}"
            session._events.append(Event("rejected", None, adoption.user, reason, error))
            _forget(session, Loaded.STALE)
            return
        if held is None:
            raise writer.too_many()
        if not is_written(payload, held):
            yield from self._join(session, adoption, held)
            return
        if session._login is None:
            session._meta = meta
        writer.issue(session, session_id, held)
        session._loaded = LIVE
        session._assigned = True  # so that the commit looks for the request's changes
        reason = f"from the legacy cookie {adoption.name!r}"
        session._events.append(Event("created", handle_for(key), user, reason))

    def _join(self, session: SessionState, adoption: Adoption, mark: Found) -> Flow[None]:
        """Use the session that another request has adopted."""
        # Of two requests that rotate the ID, the second one gets no session, because an attacker
        # who planted the cookie may have sent either.
        rotated = not session._regenerate
        followed = yield from _follow_mark(adoption, mark, self.writer.grace, rotated=rotated)
        if not isinstance(followed, Lost):
            session._key, found = followed
            session._presented_key = session._key
            session._loaded = LIVE
            if session._destroy:  # the data of this request belong to the next session
                session._found, session._payload = found, found.payload
            else:
                self.writer.rebase(session, found)
            adoption.became = followed
            return
        if followed is Lost.NO_ROOM:
            self._report_no_room(session, adoption)
        if session._destroy:
            session._found, session._payload = None, b""
            return
        if session._login is None:
            flush_views(session)
            if has_changed(session):
                session._events.append(Event("dropped", None, adoption.user, followed.value))
        session._lost_user = adoption.user
        session._presented_key = adoption.key  # a login of the same user continues the session
        _forget(session, Loaded.STALE)

    def _report_no_room(self, session: SessionState, adoption: Adoption) -> None:
        """Report that the store has begun to refuse legacy cookies; warn once."""
        reason = f"the legacy cookie {adoption.name!r}: {Lost.NO_ROOM.value}"
        session._events.append(Event("rejected", None, adoption.user, reason))
        if not self._warned:
            self._warned = True
            log.warning(
                "lembro: the store has no room to remember more used legacy cookies. From now on "
                "it refuses the legacy cookies of anonymous visitors, and when it is full also "
                "those of users, who then have to log in again. Give the store more memory "
                "(max_size)"
            )

    def _send_same_cookie(
        self, session: SessionState, adoption: Adoption, key: bytes, found: Found
    ) -> Flow[None]:
        """Set the cookie of a response that may not have arrived, unless the session has ended."""
        meta, _ = codec.decode(found.payload)
        session_id = adoption.id_from(meta, self.writer.id_of)
        if session_id is None or key_for(session_id) != key or session._key != key:
            return
        try:
            idle = self.lifetimes.idle_of(meta, found.user)
            lives: bool = yield Call("touch", (key,), {"idle": idle})
        except StoreError:
            return
        if lives:
            max_age = self.lifetimes.max_age_of(meta, found.life_left)
            session._cookie = SetCookie(session_id, found.reputation, max_age)


def _adoption_of(session: SessionState) -> Adoption | None:
    return cast("Adoption | None", session._adoption)


def _read(cookie: LegacyCookie) -> Flow[LegacySession | Rejection]:
    if cookie.problem is not None:
        return cookie.problem
    if not cookie.source.waits:
        return cookie.source.read(cookie.value)
    read: LegacySession | Rejection = yield Call("read", (cookie.value,), {}, cookie.source)
    return read


def _load_adoption(
    session: SessionState, adoption: Adoption, legacy: LegacySession, grace: float
) -> Flow[None]:
    """Load a legacy session, or the session that it was adopted as."""
    try:
        payload = codec.encode(adoption.meta, dict(legacy.data))
        meta, data = codec.decode(payload)
    except CodecError as error:
        reason = f"the legacy cookie {adoption.name!r}: {error}"
        session._events.append(Event("rejected", None, legacy.user, reason, error))
        return
    mark: Found | None = yield Call("get", (adoption.key,))
    if mark is not None:
        yield from _load_adopted(session, adoption, mark, grace)
        return
    session._adoption = adoption
    session._meta, session._data, session._payload = meta, data, payload
    session._found = Found(payload, adoption.user, age=inf)


def _load_adopted(
    session: SessionState, adoption: Adoption, mark: Found, grace: float
) -> Flow[None]:
    """Load the session of a legacy cookie that was used before."""
    followed = yield from _follow_mark(adoption, mark, grace)
    if isinstance(followed, Lost):
        reason = f"the legacy cookie {adoption.name!r}: {followed.value}"
        session._events.append(Event("rejected", None, adoption.user, reason))
        if mark.age <= grace:  # another tab may have logged in meanwhile
            session._loaded, session._presented_key = Loaded.STALE, adoption.key
        return
    session._loaded = LIVE
    use_record(session, *followed)
    if session._key is not None:
        adoption.became = followed
        session._adoption = adoption


def _follow_mark(
    adoption: Adoption, mark: Found, grace: float, *, rotated: bool = False
) -> Flow[tuple[bytes, Found] | Lost]:
    """Find the session that the mark points to.

    Concurrent requests with the legacy cookie need this, as do browsers that never received the new
    cookie.

    Args:
        adoption: The adoption.
        mark: The mark.
        grace: Seconds for which a session is still found after a request has sent its new cookie.
        rotated: Whether to find a user's session whose ID was rotated since. A request that loaded
            the legacy session earlier needs this: it writes to that session, but never gets its ID.
    """
    key = mark.successor
    if key is None:
        return Lost.NO_ROOM if mark.payload == NO_ROOM else Lost.USED
    found: Found | None = yield Call("get", (key,))
    if found is None:
        return Lost.GONE
    if found.successor is not None:
        if not rotated:
            return Lost.USED
        followed = yield from follow_rotation(found)
        if isinstance(followed, Lost):
            return followed
        key, found = followed
    if found.user != adoption.user:
        return Lost.STALE
    if found.age > grace and adoption.id_from(_meta_of(found)) is None:
        return Lost.USED
    return key, found


def _meta_of(found: Found) -> codec.Meta:
    try:
        return codec.decode(found.payload)[0]
    except CodecError:
        return {}


def _cookie_came_back(session: SessionState) -> bool:
    """Return whether an adopted session's own cookie came with a request for the first time."""
    return (
        session._presented.id is not None
        and session._key is not None
        and isinstance(session._meta.get("adopted"), bytes)
    )


def _forget(session: SessionState, loaded: Loaded) -> None:
    """Drop the legacy session and the request's changes."""
    session._found, session._payload, session._data = None, b"", {}
    if session._login is None:
        session._meta = {}
    session._views.clear()
    session._assigned = session._nested_possible = False
    session._loaded = loaded
