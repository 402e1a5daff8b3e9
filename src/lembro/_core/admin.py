"""The flows of ``SessionManager``'s methods by session ID, which need no request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UsageError
from ..ids import is_id, key_for, user_id_text
from . import codec
from .effects import Call, Flow, run_flow
from .lifecycle import Lifecycle
from .session import Session
from .state import CLEAR


def create(
    core: Lifecycle, session: Session, data: Mapping[str, Any], user_id: str | None
) -> Flow[str | None]:
    """Store a new session. Return its ID, or None if it is empty."""
    yield from core.load(session)
    session.update(data)
    if user_id is not None:
        session.login(user_id)
    yield from run_flow(core.commit(session))
    return session.issued_id


def get(core: Lifecycle, session: Session) -> Flow[dict[str, Any] | None]:
    """Return the data, or None if there is no such session."""
    yield from core.load(session)
    return None if session._key is None else session._data


def overwrite(core: Lifecycle, session: Session, data: Mapping[str, Any]) -> Flow[bool]:
    """Replace the data. Return whether there is such a session."""
    yield from core.load(session)
    if session._key is None:
        return False
    for key, value in data.items():
        codec.check(key, value)
    session._data, session._assigned, session._nested_possible = dict(data), True, True
    yield from run_flow(core.commit(session))
    return session._key is not None


def destroy(core: Lifecycle, session: Session) -> Flow[bool]:
    """End the session. Return whether this call ended it."""
    yield from core.load(session)
    session.destroy()
    yield from run_flow(core.commit(session))
    return session._cookie is CLEAR


def touch(core: Lifecycle, session: Session) -> Flow[bool]:
    """Extend the idle timeout. Return whether there is such a session."""
    yield from core.load(session)
    if session._key is None:
        return False
    idle = core.lifetimes.idle_of(session._meta, session._current_user())
    touched: bool = yield Call("touch", (session._key,), {"idle": idle})
    return touched


def regenerate(core: Lifecycle, session: Session) -> Flow[str | None]:
    """Give the session a new ID. Return it, or None if there is no such session."""
    yield from core.load(session)
    if session._key is None:
        return None
    session.regenerate_id()
    yield from run_flow(core.commit(session))
    return session.issued_id


# -- arguments -------------------------------------------------------------------------------------


def mapping_of(method: str, data: Any) -> Mapping[str, Any]:
    """Return the data of a call of this method, or raise TypeError if it is no mapping."""
    if not isinstance(data, Mapping):
        before = "session_id, " if method == "set" else ""
        raise TypeError(
            f"{method}() takes the data as a dict, got {type(data).__name__}. "
            f'Example: {method}({before}{{"key": "value"}})'
        )
    return data


def new_session(data: Any, user_id: Any) -> tuple[Mapping[str, Any], str | None]:
    """Return the checked data and user of a call of ``create``."""
    user = None if user_id is None else user_id_text(user_id, "create")
    return {} if data is None else mapping_of("create", data), user


def created(session_id: str | None) -> str:
    """Return the ID of a new session, or raise UsageError if it was empty."""
    if session_id is None:
        raise UsageError("create() needs data or a user ID, because no empty session is stored")
    return session_id


def key_to_keep(keep: Session | str | None) -> bytes | None:
    """Return the key of a session that ``revoke_user`` keeps."""
    if isinstance(keep, Session):
        return keep._key if keep.handle is not None else None
    if keep is not None and not isinstance(keep, str):
        raise TypeError(
            f"keep must be a Session or a session ID, got {type(keep).__name__}. "
            f"Example: revoke_user(user_id, keep=session)"
        )
    if keep is not None and not is_id(keep):  # not quoted, because it may be a cookie's value
        raise UsageError(
            "keep must be a Session or a session ID, and this str is not a session ID. Write "
            "keep=session. (A handle is for revoke(handle), which ends that session only.)"
        )
    return None if keep is None else key_for(keep)
