"""A notebook over TCP, without a web framework. A session is found by its ID.

    pip install lembro
    python examples/without_framework.py
    nc 127.0.0.1 8000

Type ``note buy bread``, ``notes``, ``login heidi``, ``sessions`` or ``logout``. When a session
begins or gets a new ID, the answer contains the ID. ``resume ID`` continues the session over
another connection.
"""

from __future__ import annotations

import socketserver
from datetime import timedelta

from lembro import Event, LembroError, MemoryStore, SessionManager

manager = SessionManager(MemoryStore("4M"), idle_timeout=timedelta(minutes=30))


@manager.on("expired")
def expired(event: Event) -> None:
    print(f"session {event.handle} has expired")


def answer(session_id: str | None, line: str) -> tuple[str | None, str]:
    """Carry out the command of one line. Return the connection's new session ID, and the answer."""
    command, _, rest = line.partition(" ")
    if command == "resume":
        found = manager.get(rest)
        return (None, "no such session") if found is None else (rest, "welcome back")
    session = manager.load(session_id)
    match command:
        case "note":
            session.setdefault("notes", []).append(rest)
            reply = f"{len(session['notes'])} notes"
        case "notes":
            reply = "; ".join(session.get("notes", [])) or "none"
        case "login":
            session.login(rest)
            reply = f"hello {rest}"
        case "sessions" if session.user_id:
            reply = " ".join(info.handle for info in session.user_sessions())
        case "logout":
            session.logout()
            session.save()
            return None, "bye"
        case _:
            reply = "note TEXT, notes, login NAME, sessions, logout, resume ID"
    session.save()
    if session.issued_id is not None:
        return session.issued_id, f"{reply} (resume {session.issued_id})"
    return session_id, reply


class Connection(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        session_id: str | None = None
        for line in self.rfile:
            try:
                session_id, reply = answer(session_id, line.decode(errors="replace").strip())
            except (LembroError, ValueError) as error:
                reply = f"error: {error}"
            self.wfile.write(f"{reply}\n".encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    with Server(("127.0.0.1", 8000), Connection) as server:
        server.serve_forever()
