"""How a request arrived, a row of the decision table: the cookie it brought, and the record to
which that leads. Flows like those of ``lifecycle.py``, and as pure."""

from __future__ import annotations

import enum
from base64 import urlsafe_b64encode
from hashlib import blake2b, sha256
from math import inf
from secrets import token_bytes
from typing import Final

from . import codec
from .cookie import DUPLICATE
from .errors import CodecError, StoreError
from .events import Event
from .flow import Call, Flow
from .ids import handle_for, key_for
from .old import Offer, Old, Rejection, Source
from .session import Session
from .state import COMMITTED, LIVE, UNREAD, Arrived
from .stores.base import Found

HOPS: Final = 16
"""Replaced ids that are followed in a row."""


class Lost(enum.Enum):
    """Why there is no record where one was looked for."""

    GONE = "the session has ended"
    DEAD_END = "the session's id was replaced by a login"
    USED = "the old cookie has been used"


def load(session: Session) -> Flow[None]:
    """Find out how the request arrived, and what it arrived with."""
    key = begin(session)
    try:
        if key is not None:
            yield from _load_key(session, key)
        elif session._presented.old:
            yield from arrive_by_old(session)
    except StoreError:  # the next look tries again, instead of finding nothing
        session._arrived = UNREAD
        raise
    session._ready = session._phase is not COMMITTED


def begin(session: Session) -> bytes | None:
    """Read the cookie; the key to look for in the store, if there is one."""
    session._begin()
    presented = session._presented
    if presented.id is not None:
        session._arrived_key = key = key_for(presented.id)
        return key
    if presented.problem:
        session._events.append(Event("rejected", reason=presented.problem))
        if presented is DUPLICATE:
            session._arrived = Arrived.DEAD_END
    return None


def _load_key(session: Session, key: bytes) -> Flow[None]:
    found: Found | None = yield Call("get", (key,))
    if found is None:
        return
    if not arrive(session, key, found):
        yield from arrive_by(session, found)


def arrive_by(session: Session, pointer: Found) -> Flow[None]:
    """Take in what a replaced id leads to."""
    followed = yield from follow(pointer)
    if isinstance(followed, Lost):
        session._arrived = Arrived.DEAD_END
        return
    session._arrived = Arrived.FOLLOWED
    take(session, *followed)


def arrive(session: Session, key: bytes, found: Found) -> bool:
    """Take in what the store found. False if that is a replaced id, which may be followed."""
    if found.successor is not None:
        return False
    session._arrived = LIVE
    take(session, key, found)
    return True


def follow(pointer: Found) -> Flow[tuple[bytes, Found] | Lost]:
    """Where a replaced id leads: to a record of the same user, or nowhere."""
    for _ in range(HOPS):
        key = pointer.successor
        if key is None or pointer.user is None:
            return Lost.DEAD_END
        found: Found | None = yield Call("get", (key,))
        if found is None:  # it was this user's, and has been ended
            return Lost.GONE
        if found.user != pointer.user:
            return Lost.DEAD_END
        if found.successor is None:
            return key, found
        pointer = found
    return Lost.DEAD_END


def take(session: Session, key: bytes, found: Found) -> None:
    """Make ``found`` what this session was loaded from; one that can't be read is no record."""
    try:
        session._meta, session._data = codec.decode(found.payload)
    except CodecError as error:
        handle = handle_for(key)
        session._events.append(Event("rejected", handle, found.user, str(error), error))
        session._meta, session._data = {}, {}
        session._arrived, session._key, session._found = Arrived.NEW, None, None
        return
    session._key, session._found, session._payload = key, found, found.payload
    session._assigned = session._lent = False


# -- by a cookie of old ----------------------------------------------------------------------------
#
# An old session moves in when the request is committed (``moving.py``). What the store remembers of
# it is a key that was replaced by the session that it has become, and that lives for as long as the
# old cookie might.

SEED: Final = b"moving"
"""The payload under that key before it is replaced. No session has it."""


class Moving:
    """An old session on its way in, or one that has come in before."""

    def __init__(self, source: Source, old: Old, identity: bytes) -> None:
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


def arrive_by_old(session: Session) -> Flow[None]:
    """There is no cookie of lembro's, but there are cookies of old."""
    if session._presented.problem:
        return
    for offer in session._presented.old:
        told = yield from _ask(offer)
        if isinstance(told, Rejection):
            session._events.append(Event("rejected", reason=told.reason))
        elif told.data or told.user is not None:
            yield from _arrive_by(session, Moving(offer.source, told, offer.identity(told)), told)
            return


def _ask(offer: Offer) -> Flow[Old | Rejection]:
    if offer.problem is not None:
        return offer.problem
    if not offer.source.waits:
        return offer.source.read(offer.value)
    told: Old | Rejection = yield Call("read", (offer.value,), {}, offer.source)
    return told


def _arrive_by(session: Session, moving: Moving, old: Old) -> Flow[None]:
    try:
        payload = codec.encode(moving.meta, dict(old.data))
        meta, data = codec.decode(payload)
    except CodecError as error:
        reason = f"the old cookie {moving.name!r}: {error}"
        session._events.append(Event("rejected", user=old.user, reason=reason, error=error))
        return
    mark: Found | None = yield Call("get", (moving.key,))
    if mark is not None and (mark.successor is not None or mark.payload != SEED):
        yield from _arrive_again(session, moving, mark)
        return
    session._old = moving
    session._meta, session._data, session._payload = meta, data, payload
    session._found = Found(payload, moving.user, age=inf)


def _arrive_again(session: Session, moving: Moving, mark: Found) -> Flow[None]:
    """The old cookie has been used."""
    grace = session._manager.core.writer.grace
    followed = yield from follow_mark(moving, mark, grace)
    if isinstance(followed, Lost):
        reason = f"the old cookie {moving.name!r}: {followed.value}"
        session._events.append(Event("rejected", user=moving.user, reason=reason))
        if mark.age <= grace:  # another tab may have logged in meanwhile
            session._arrived = Arrived.DEAD_END
        return
    session._arrived = Arrived.FOLLOWED
    take(session, *followed)
    if session._key is not None:
        moving.became = followed
        session._old = moving


def follow_mark(moving: Moving, mark: Found, grace: float) -> Flow[tuple[bytes, Found] | Lost]:
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
    if found.user != moving.user:
        return Lost.DEAD_END
    if found.age > grace and moving.id_from(_meta_of(found)) is None:
        return Lost.USED
    return key, found


def _meta_of(found: Found) -> codec.Meta:
    try:
        return codec.decode(found.payload)[0]
    except CodecError:
        return {}
