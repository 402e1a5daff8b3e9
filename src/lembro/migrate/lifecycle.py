"""How a session moves in that comes by a cookie of old (``migrate_from``): what a lifecycle does
besides, where there may be such.

* It becomes a session under a new id, when the request that brought it is committed, even if that
  changed nothing; then what the request did is done to it, as to any other.
* Once: the store holds a mark under a hash of the old cookie, which one request, and no second one,
  replaces by the session (``add`` what can be replaced, ``replace`` it). The mark then leads to the
  session, as a replaced id does, and lives for as long as the old cookie might.
* Requests that bring the cookie at the same time are led by the mark to the session, and all set
  the same new cookie. That is so for the grace, and until the new cookie has come back: a response
  that got lost logs nobody out. Then the old cookie is dead, and after a logout at once.
* After a handler that failed, nothing has moved; a logout is honoured.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import blake2b, sha256
from math import inf
from secrets import token_bytes
from typing import Final

from .._core import codec
from .._core.commit import ATTEMPTS, has_changed, is_written, marked, refused
from .._core.effects import Call, Flow
from .._core.lifecycle import Lifecycle
from .._core.load import Lost, follow, take
from .._core.session import Session
from .._core.state import LIVE, NOT_LOADED, Loaded, SetCookie
from ..errors import CodecError, SessionTooLarge, StoreError
from ..events import Event
from ..ids import handle_for, key_for
from ..stores.base import Found, Record
from .source import LegacyCookie, LegacySession, Rejection, Source

SEED: Final = b"moving"
"""The payload under that key before it is replaced. No session has it."""


class Adoption:
    """An old session on its way in, or one that has come in before."""

    def __init__(self, source: Source, old: LegacySession, identity: bytes) -> None:
        self.name: str = source.name
        self.life: float = source.life
        self.user: str | None = old.user
        self.key: bytes = sha256(b"lembro moved " + identity).digest()
        self._identity = identity
        self.meta: codec.Meta = {"moved": token_bytes(32)}
        if old.remember:
            self.meta["remember"] = True
        self.became: tuple[bytes, Found] | None = None
        """What it has become: another request was first."""

    @property
    def guard(self) -> str | None:
        """Whom the mark in the store belongs to. A login's is to go last when memory is short, but
        not with the sessions of its user: that would let the old cookie in again."""
        return None if self.user is None else f"moved {self.key.hex()}"

    def id_from(self, meta: codec.Meta) -> str | None:
        """The id of the session that it has become: the same for all requests that bring the old
        cookie, so it does not matter whose response arrives. That takes the nonce, which the
        session carries until its own cookie has come back, and the old cookie."""
        nonce = meta.get("moved")
        if not isinstance(nonce, bytes):
            return None
        digest = blake2b(self._identity, key=nonce, digest_size=32, person=b"lembro moved")
        return urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()


class MigratingLifecycle(Lifecycle):
    """A lifecycle where cookies of old are accepted."""

    def load_legacy(self, session: Session) -> Flow[None]:
        """There is no cookie of lembro's, but there may be some of old."""
        if session._presented.problem:
            return
        for offer in session._presented.legacy:
            told = yield from _ask(offer)
            if isinstance(told, Rejection):
                session._events.append(Event("rejected", reason=told.reason))
            elif told.data or told.user is not None:
                yield from _arrive_by(
                    session, Adoption(offer.source, told, offer.identity(told)), told
                )
                return

    def nothing_to_commit(self, session: Session) -> bool:
        if session._loaded is NOT_LOADED or session._preloaded:
            return True
        if session._legacy is not None or _has_come_back(session):
            return False
        return super().nothing_to_commit(session)

    def only_set(self, session: Session) -> tuple[Call, codec.Meta] | None:
        if session._legacy is not None or _has_come_back(session):
            return None
        return super().only_set(session)

    def commit(self, session: Session, *, failed: bool = False) -> Flow[None]:
        adoption = None if session._loaded is NOT_LOADED else session._legacy
        if adoption is not None and adoption.became is None:
            if failed and not session._destroy:
                _stay_out(session, Loaded.NEW)
            else:
                yield from self._move_in(session, adoption)
        elif not failed and _has_come_back(session):  # the nonce has served its time
            session._meta = {**session._meta, "moved": True}
            session._assigned = True
        told = 0 if adoption is None else len(session._events)
        yield from super().commit(session, failed=failed)
        session._legacy = None
        if adoption is None:
            return
        if isinstance(session._cookie, SetCookie) and (
            session._key is None or any(e.name == "dropped" for e in session._events[told:])
        ):
            session._cookie = None  # it has ended, between the move and what the request changed
        if adoption.became is not None and session._cookie is None:
            yield from self._set_the_same_cookie(session, adoption, *adoption.became)

    def _move_in(self, session: Session, adoption: Adoption) -> Flow[None]:
        writer = self.writer
        # What is to be ended need not be stored first.
        data = {} if session._destroy else codec.decode(session._payload)[1]
        meta = marked(adoption.meta)
        payload = codec.encode(meta, data)
        session_id = adoption.id_from(meta)
        assert session_id is not None
        key = key_for(session_id)
        reputation = yield from writer.reputation_for(session)
        record = Record(payload, adoption.user, None, reputation)
        seed = Record(SEED, adoption.guard)
        keywords = {
            "expected": SEED,
            "idle": writer.idle,
            "life": writer.life,
            "grace": adoption.life,
            "per_user": None if adoption.user is None else writer.per_user,
        }
        for _ in range(ATTEMPTS):
            yield Call("add", (adoption.key, seed), {"idle": adoption.life, "life": adoption.life})
            try:
                held: Found | None = yield Call("replace", (adoption.key, key, record), keywords)
            except SessionTooLarge as error:
                reason = f"the old cookie {adoption.name!r}: {error}"
                session._events.append(Event("rejected", None, adoption.user, reason, error))
                _stay_out(session, Loaded.STALE)
                return
            if held is None:  # the mark has gone again
                continue
            if is_written(payload, held) and held.user == adoption.user:
                if session._login is None:
                    session._meta = meta
                session._regenerate = False  # it has a new id
                writer.issue(session, session_id, held)
                session._loaded = LIVE
                session._assigned = True  # so that what the request made of it is looked at
                reason = f"from the old cookie {adoption.name!r}"
                session._events.append(Event("created", handle_for(key), adoption.user, reason))
                return
            if held.successor is None and held.payload == SEED:
                raise writer.too_many()
            yield from self._join(session, adoption, held)
            return
        raise refused()

    def _join(self, session: Session, adoption: Adoption, mark: Found) -> Flow[None]:
        """Another request was first."""
        followed = yield from _follow_mark(adoption, mark, self.writer.grace)
        if not isinstance(followed, Lost):
            session._key, found = followed
            session._presented_key = session._key
            session._loaded = Loaded.ROTATED
            session._regenerate = False
            if session._destroy:  # what it holds now is of the session that begins after this one
                session._found, session._payload = found, found.payload
            else:
                self.writer.rebase(session, found)
            adoption.became = followed
            return
        if session._destroy:
            session._found, session._payload = None, b""
            return
        if session._login is None:
            session._flush_views()
            if has_changed(session):
                session._events.append(Event("dropped", None, adoption.user, followed.value))
        session._lost_user = adoption.user
        _stay_out(session, Loaded.STALE)

    def _set_the_same_cookie(
        self, session: Session, adoption: Adoption, key: bytes, found: Found
    ) -> Flow[None]:
        """As the response that may not have arrived; unless the session has ended since."""
        meta, _ = codec.decode(found.payload)
        session_id = adoption.id_from(meta)
        if session_id is None or key_for(session_id) != key or session._key != key:
            return
        try:
            there: bool = yield Call("touch", (key,), {"idle": self.writer.idle})
        except StoreError:
            return
        if there:
            life = found.life_left if meta.get("remember") is True else None
            session._cookie = SetCookie(session_id, found.reputation, life)


def _ask(offer: LegacyCookie) -> Flow[LegacySession | Rejection]:
    if offer.problem is not None:
        return offer.problem
    if not offer.source.waits:
        return offer.source.read(offer.value)
    told: LegacySession | Rejection = yield Call("read", (offer.value,), {}, offer.source)
    return told


def _arrive_by(session: Session, adoption: Adoption, old: LegacySession) -> Flow[None]:
    try:
        payload = codec.encode(adoption.meta, dict(old.data))
        meta, data = codec.decode(payload)
    except CodecError as error:
        reason = f"the old cookie {adoption.name!r}: {error}"
        session._events.append(Event("rejected", user=old.user, reason=reason, error=error))
        return
    mark: Found | None = yield Call("get", (adoption.key,))
    if mark is not None and (mark.successor is not None or mark.payload != SEED):
        yield from _arrive_again(session, adoption, mark)
        return
    session._legacy = adoption
    session._meta, session._data, session._payload = meta, data, payload
    session._found = Found(payload, adoption.user, age=inf)


def _arrive_again(session: Session, adoption: Adoption, mark: Found) -> Flow[None]:
    """The old cookie has been used."""
    grace = session._manager.core.writer.grace
    followed = yield from _follow_mark(adoption, mark, grace)
    if isinstance(followed, Lost):
        reason = f"the old cookie {adoption.name!r}: {followed.value}"
        session._events.append(Event("rejected", user=adoption.user, reason=reason))
        if mark.age <= grace:  # another tab may have logged in meanwhile
            session._loaded = Loaded.STALE
        return
    session._loaded = Loaded.ROTATED
    take(session, *followed)
    if session._key is not None:
        adoption.became = followed
        session._legacy = adoption


def _follow_mark(adoption: Adoption, mark: Found, grace: float) -> Flow[tuple[bytes, Found] | Lost]:
    """What an old session has become, for those who bring its cookie at the same time, and those
    to whom the new one never came."""
    key = mark.successor
    if key is None:
        return Lost.USED
    found: Found | None = yield Call("get", (key,))
    if found is None:
        return Lost.GONE
    if found.successor is not None:
        followed = yield from follow(found)
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


def _has_come_back(session: Session) -> bool:
    """Whether the new cookie of a session that has moved in has come with this request, and nothing
    is known of it so far."""
    return (
        session._presented.id is not None
        and session._key is not None
        and isinstance(session._meta.get("moved"), bytes)
    )


def _stay_out(session: Session, arrived: Loaded) -> None:
    """The old session is not stored, and what the request made of it neither."""
    session._found, session._payload, session._data = None, b"", {}
    if session._login is None:
        session._meta = {}
    session._views.clear()
    session._assigned = session._nested_possible = False
    session._loaded = arrived
