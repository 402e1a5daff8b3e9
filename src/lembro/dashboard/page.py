"""The pages of the dashboard as HTML. Every value is escaped, and no page has an inline script."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final
from urllib.parse import quote, urlencode

from .listing import Listing, Query, Row
from .samples import STATIC

LIVE: Final = (STATIC / "live.html").read_text(encoding="utf-8")
"""The section of the charts."""

_LAYOUT: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="theme.css">
<link rel="stylesheet" href="charts.css">
<link rel="stylesheet" href="list.css">
<link rel="stylesheet" href="page.css">
{body}
</html>
"""


def sessions(listing: Listing, query: Query, token: str, *, live: bool) -> str:
    """Return the list of sessions."""
    button = ""
    if query.user is not None:
        button = _form("user", token, user=quote(query.user), label="End all of them")
    elif not query.text:  # in a list of matches, it would seem to end these
        button = _form("all", token, label="End all sessions")
    body = [
        '<script type="module" src="live.js"></script>' if live else "",
        "<header><h1>Sessions</h1></header><main>",
        LIVE if live else "",
        '<section class="card" aria-labelledby="list-title">',
        f'<div class="head"><h2 id="list-title">{escape(heading(listing, query))}</h2>',
        f"{button}</div>",
        '<form class="search" role="search"><label for="q">User, device or address</label>'
        f'<div class="row"><input id="q" name="q" type="search" value="{escape(query.text)}"'
        ' maxlength="200" autocomplete="off"><button>Search</button></div></form>',
        _table(listing.rows, token) if listing.rows else "<p>There is no session.</p>",
        _links(listing, query),
        "</section></main>",
    ]
    return _LAYOUT.format(title="Sessions", body="\n".join(filter(None, body)))


def confirmation(question: str, form: Mapping[str, str]) -> str:
    """Return the page that asks before sessions end."""
    fields = {name: form.get(name, "") for name in ("token", "action", "handle", "user")}
    inputs = _inputs(fields | {"confirm": "yes"})
    return _LAYOUT.format(
        title="Confirm",
        body=f'<main><section class="card"><h1>{escape(question)}</h1>'
        f'<form method="post" action="./" class="row">{inputs}'
        '<button class="danger" autofocus>End</button> <a href="./">Cancel</a></form>'
        "</section></main>",
    )


def message(title: str, text: str) -> str:
    """Return a page with a message, and a link to the list."""
    return _LAYOUT.format(
        title=escape(title),
        body=f'<main><section class="card"><h1 role="status">{escape(title)}</h1>'
        f'<p>{escape(text)}</p><p><a href="./">All sessions</a></p></section></main>',
    )


def heading(listing: Listing, query: Query) -> str:
    """Return the heading of a list: what it shows, and how many there are."""
    count = f"{listing.total:,} {'session' if listing.total == 1 else 'sessions'}"
    if query.user is not None:
        count += f" of {query.user}"
    return f"{count} with “{query.text}”" if query.text else count


def address(fields: Mapping[str, str]) -> str:
    """Return a relative address with these fields, without those that are empty."""
    return "?" + urlencode({name: value for name, value in fields.items() if value})


def next_fields(listing: Listing, query: Query) -> dict[str, str] | None:
    """Return the fields of the next page's address. None if there is no next page."""
    if listing.next is None:
        return None
    _, after_user, after = listing.next
    position = {"after_user": after_user, "after": after}
    return {"q": query.text, "user": query.user or "", **position}


def _links(listing: Listing, query: Query) -> str:
    links = []
    if query.user is not None or query.text:
        links.append('<a href="./">All sessions</a>')
    if query.after is not None:
        first = address({"q": query.text, "user": query.user or ""})
        links.append(f'<a href="./{escape(first)}">First page</a>')
    following = next_fields(listing, query)
    if following is not None:
        links.append(f'<a href="./{escape(address(following))}" rel="next">Next page</a>')
    return f'<nav class="row wrap" aria-label="Pages">{" ".join(links)}</nav>' if links else ""


def _table(rows: list[Row], token: str) -> str:
    names = ["User", "Device", "Address", "Age", "Unused for", "Time left"]
    if any(row.data for row in rows):
        names.append("Data")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = "".join(_row(row, names, token) for row in rows)
    hidden = '<th scope="col"><span class="visually-hidden">End</span></th>'
    return (
        f'<table class="sessions"><thead><tr>{head}{hidden}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _row(row: Row, names: list[str], token: str) -> str:
    if row.user is None:
        user = '<span class="quiet">visitor</span>'
    else:
        user = (
            f'<a href="./{escape(address({"user": row.user}))}"><bdi>{escape(row.user)}</bdi></a>'
        )
    data = "".join(f"<li><b>{escape(key)}</b> {escape(text)}</li>" for key, text in row.data)
    values = (
        f'{user}<small title="The handle of the session">{escape(row.handle)}</small>',
        *map(escape, (row.device, row.address, row.age, row.idle, row.left)),
        f"<ul>{data}</ul>" if data else "",
    )
    cells = zip(names, values, strict=False)  # without data there is no column for it
    form = _form("session", token, handle=row.handle, user=quote(row.user or ""), label="End")
    columns = "".join(f'<td data-name="{name}">{cell}</td>' for name, cell in cells)
    return f'<tr>{columns}<td data-name="">{form}</td></tr>'


def _form(action: str, token: str, *, label: str, **fields: str) -> str:
    """Return a form with one button. A user ID is quoted: HTML changes newlines in a field."""
    inputs = _inputs({"token": token, "action": action, **fields})
    return f'<form method="post" action="./">{inputs}<button>{label}</button></form>'


def _inputs(fields: Mapping[str, str]) -> str:
    return "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">'
        for name, value in fields.items()
    )
