"""The Cookie header as RFC 6265 words it, in code that is slow and simple.

It has two readings, to compare ``lembro._http.cookie`` with. No code is taken from there.
"""

from __future__ import annotations

import re

Pairs = list[tuple[bytes, bytes]]

# Section 4.1.1, with token from RFC 2616, 2.2:
#   cookie-pair  = cookie-name "=" cookie-value
#   cookie-name  = token
#   cookie-value = *cookie-octet / ( DQUOTE *cookie-octet DQUOTE )
#   cookie-octet = %x21 / %x23-2B / %x2D-3A / %x3C-5B / %x5D-7E
# Section 4.2.1:
#   cookie-string = cookie-pair *( ";" SP cookie-pair )
_SEPARATORS = b'()<>@,;:\\"/[]?={} \t'
_TOKEN = {octet for octet in range(0x21, 0x7F) if octet not in _SEPARATORS}
_OCTET = {0x21, *range(0x23, 0x2C), *range(0x2D, 0x3B), *range(0x3C, 0x5C), *range(0x5D, 0x7F)}


def by_the_grammar(header: bytes) -> Pairs | None:
    """Return the pairs of a cookie-string that section 4 allows; None for any other."""
    pairs: Pairs = []
    for part in header.split(b"; "):
        name, equals, value = part.partition(b"=")
        if not equals or not name or not set(name) <= _TOKEN:
            return None
        quoted = len(value) >= 2 and value[:1] == value[-1:] == b'"'
        if not set(value[1:-1] if quoted else value) <= _OCTET:
            return None
        pairs.append((name, value))
    return pairs


def by_the_algorithm(header: bytes) -> Pairs:
    """Return the pairs of any header, by the steps of section 5.2 for a name-value-pair.

    A pair ends at a ";", and is divided at its first "=". Spaces and tabs at both ends of either
    part are removed. A pair without a "=" or without a name is ignored.
    """
    pairs: Pairs = []
    rest: bytes | None = header
    while rest is not None:
        semicolon = rest.find(b";")
        pair, rest = (rest, None) if semicolon < 0 else (rest[:semicolon], rest[semicolon + 1 :])
        divided = re.fullmatch(rb"([^=]*)=(.*)", pair, re.DOTALL)
        if divided is None:
            continue
        name, value = (_without_blanks(part) for part in divided.groups())
        if name:
            pairs.append((name, value))
    return pairs


def _without_blanks(part: bytes) -> bytes:
    while part and part[0] in (0x20, 0x09):
        part = part[1:]
    while part and part[-1] in (0x20, 0x09):
        part = part[:-1]
    return part
