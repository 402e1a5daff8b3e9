"""``lembro sessions``: list the sessions of a store, show one, end some.

The commands use the methods of the store. The idle timeout and the other options are the
application's, and a command does not know them. So a command shows when a session ends, and not
when it was last used.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from .. import size
from .._core import codec
from .._core.lifecycle import destroy_chain
from .._core.user_sessions import CACHE_ENTRY, text_of
from .._runtime.drivers import run
from ..errors import CodecError, StoreUnavailable, printable
from ..ids import handle_for
from ..stores.base import Found
from .arguments import Parser, add_json, add_store, handle, user
from .exits import NotFoundError
from .output import Progress, duration, print_fields, print_json, print_table
from .stores import name_of, store_of

READ: Final = "sessions read"
PURGED_AT_ONCE: Final = 1000  # records in one step, so that the application waits only briefly
LONGEST: Final = 60  # characters of a device in a table


class Row(msgspec.Struct, kw_only=True):
    """A session in a list. The names are those of ``SessionInfo``; durations are in seconds."""

    handle: str
    user_id: str | None
    age: float
    expires_in: float
    ends_in: float
    device: str
    address: str


def add(commands: Any) -> None:
    """Add ``lembro sessions`` and its commands."""
    group: Parser = commands.add_parser(
        "sessions",
        help="list, show and end the sessions of a store",
        description="List, show and end the sessions of a store.",
    )
    parsers = group.add_subparsers(title="commands", metavar="COMMAND")

    def command(name: str, run: Any, text: str, *, json: bool = True) -> Parser:
        parser: Parser = parsers.add_parser(name, help=text, description=run.__doc__)
        add_store(parser)
        if json:
            add_json(parser)
        parser.set_defaults(run=run)
        return parser

    parser = command("list", _list, "list the live sessions")
    parser.add_argument("--user", type=user, metavar="ID", help="list those of one user only")
    parser = command("show", _show, "show one session with its data")
    parser.add_argument("handle", type=handle, help="the handle of the session")
    parser = command("revoke", _revoke, "end one session")
    parser.add_argument("handle", type=handle, help="the handle of the session")
    parser = command("revoke-user", _revoke_user, "end all sessions of a user")
    parser.add_argument("user", type=user, metavar="ID", help="the user ID")
    command("purge", _purge, "remove the expired sessions")
    command("stats", _stats, "count the sessions and the bytes that they take")
    parser = command("export", _export, "print everything stored about a user", json=False)
    parser.add_argument("--user", type=user, metavar="ID", required=True, help="the user ID")


def _list(arguments: argparse.Namespace) -> int:
    """List the live sessions: of a user, the oldest first, or of all, in no particular order."""
    with store_of(arguments) as store, Progress(READ, shown=not sys.stdout.isatty()) as progress:
        found = store.all() if arguments.user is None else _of_user(store, arguments.user)
        rows = (row_of(key, each) for key, each in _sessions(progress.over(found)))
        if arguments.json:
            for row in rows:
                print_json(msgspec.structs.asdict(row))
            return 0
        head = ["HANDLE", "AGE", "EXPIRES IN", "ENDS IN", "ADDRESS", "DEVICE", "USER"]
        if not print_table(head, map(_cells, rows)):
            print("lembro: the store has no sessions", file=sys.stderr)
    return 0


def _show(arguments: argparse.Namespace) -> int:
    """Show one session with its data, which may be personal."""
    with store_of(arguments) as store:
        key, found = _find(store, arguments.handle)
        row, size_ = row_of(key, found), len(found.payload)
        data = _data_of(found)
        if arguments.json:
            print_json({**msgspec.structs.asdict(row), "size": size_, "data": data})
            return 0
        print_fields(
            {
                "handle": row.handle,
                "user": _user_cell(row.user_id),
                "age": duration(row.age),
                "expires in": duration(row.expires_in),
                "ends in": duration(row.ends_in),
                "address": printable(row.address) or "-",
                "device": printable(row.device) or "-",
                "size": f"{size_:,} bytes",
            }
        )
        print()
        print_json(data, indent=2)
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    """End one session, of any user."""
    with store_of(arguments) as store:
        key, _ = _find(store, arguments.handle)
        ended = run(destroy_chain(key), store)  # its ID may have been rotated since
        if ended is None:
            raise _no_session(arguments.handle)
        if arguments.json:
            print_json({"handle": arguments.handle, "user_id": ended[1]})
        else:
            of = "" if ended[1] is None else f" of the user {printable(ended[1])}"
            print(f"ended the session {arguments.handle}{of}")
    return 0


def _revoke_user(arguments: argparse.Namespace) -> int:
    """End all sessions of a user, as after a stolen password."""
    with store_of(arguments) as store:
        handles = [handle_for(key) for key in store.destroy_user(arguments.user)]
        if not handles:
            raise _no_user(arguments.user)
        if arguments.json:
            print_json({"user_id": arguments.user, "handles": handles})
        else:
            print(f"ended {_number(len(handles))} of the user {printable(arguments.user)}")
    return 0


def _purge(arguments: argparse.Namespace) -> int:
    """Remove the expired sessions now. The application does so by itself too."""
    with store_of(arguments) as store, Progress("sessions removed") as progress:
        while True:
            count: int = store.purge(PURGED_AT_ONCE)
            progress.add(count)
            if count < PURGED_AT_ONCE:
                break
    if arguments.json:
        print_json({"removed": progress.count})
    else:
        print(f"removed {_number(progress.count, 'expired ')}")
    return 0


def _stats(arguments: argparse.Namespace) -> int:
    """Count the sessions, and the bytes that the backend uses in total."""
    with store_of(arguments) as store:
        stats = store.stats()
        if not stats.available:
            raise StoreUnavailable(stats.last_error)
        count: int = store.length() if stats.sessions is None else stats.sessions
        if arguments.json:
            print_json(
                {
                    "store": name_of(store),
                    "sessions": count,
                    "used": stats.used,
                    "max_size": stats.max_size,
                }
            )
        else:
            print_fields(
                {
                    "store": name_of(store),
                    "sessions": f"{count:,}",
                    "used": _bytes(stats.used),
                    "max_size": _bytes(stats.max_size),
                }
            )
    return 0


def _export(arguments: argparse.Namespace) -> int:
    """Print everything that the store holds about a user, as JSON, with all data.

    The times are those of this machine's clock.
    """
    with store_of(arguments) as store:
        now = datetime.now(UTC).replace(microsecond=0)
        sessions = [
            {
                "handle": handle_for(key),
                "began_at": now - timedelta(seconds=int(found.age)),
                "expires_at": _after(now, found.idle_left),
                "ends_at": _after(now, found.life_left),
                "device": _meta_of(found, "device"),
                "address": _meta_of(found, "ip"),
                "data": _data_of(found),
            }
            for key, found in _sessions(_of_user(store, arguments.user))
        ]
    document = {"user_id": arguments.user, "exported_at": now, "sessions": sessions}
    print_json(document, indent=2)
    return 0


def row_of(key: bytes, found: Found) -> Row:
    """Return the row of a session."""
    return Row(
        handle=handle_for(key),
        user_id=found.user,
        age=round(found.age, 3),
        expires_in=round(found.idle_left, 3),
        ends_in=round(found.life_left, 3),
        device=_meta_of(found, "device"),
        address=_meta_of(found, "ip"),
    )


def _sessions(found: Iterable[tuple[bytes, Found]]) -> Iterator[tuple[bytes, Found]]:
    """Leave out the entries of a cache that shares the store."""
    return (pair for pair in found if not pair[1].payload.startswith(CACHE_ENTRY))


def _of_user(store: Any, user_id: str) -> list[tuple[bytes, Found]]:
    found: list[tuple[bytes, Found]] = store.of_user(user_id)
    if not found:
        raise _no_user(user_id)
    return found


def _find(store: Any, handle: str) -> tuple[bytes, Found]:
    """Find a session by its handle. This reads the sessions one by one."""
    with Progress(READ) as progress:
        for key, found in _sessions(progress.over(store.all())):
            if handle_for(key) == handle:
                return key, found
    raise _no_session(handle)


def _no_session(handle: str) -> NotFoundError:
    return NotFoundError(
        f"no session has the handle {handle}. It may have ended, or have a new handle since a login"
    )


def _no_user(user_id: str) -> NotFoundError:
    return NotFoundError(f"the user {printable(user_id)!r} has no sessions")


def _data_of(found: Found) -> dict[str, Any] | None:
    """Return the data of a session, or None with a message if they cannot be read."""
    try:
        return codec.decode(found.payload)[1]
    except CodecError as error:
        print(f"lembro: the data cannot be read: {error}", file=sys.stderr)
        return None


def _meta_of(found: Found, name: str) -> str:
    try:
        return text_of(codec.decode(found.payload)[0], name)
    except CodecError:
        return ""


def _cells(row: Row) -> list[str]:
    return [
        row.handle,
        duration(row.age),
        duration(row.expires_in),
        duration(row.ends_in),
        printable(row.address) or "-",
        printable(row.device, LONGEST) or "-",
        _user_cell(row.user_id),
    ]


def _user_cell(user_id: str | None) -> str:
    return "-" if user_id is None else printable(user_id, len(user_id))


def _after(now: datetime, seconds: float) -> datetime | None:
    try:
        return now + timedelta(seconds=int(seconds))
    except OverflowError:  # never
        return None


def _bytes(number: int | None) -> str:
    return "-" if number is None else size.pretty(number)


def _number(count: int, kind: str = "") -> str:
    return f"{count:,} {kind}session{'' if count == 1 else 's'}"
