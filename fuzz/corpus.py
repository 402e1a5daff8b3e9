"""The seeds of each target, in readable form.

Findings of a fuzzer are added here, each with a comment on what it was, so that the tests always
run them.
"""

from __future__ import annotations

from typing import Final

_ID: Final = b"A" * 42 + b"Q"
_STANDING: Final = b"MDEyMzQ1Njc4OWFiY2RlZg"
_MAC: Final = b"B" * 22

_COOKIES: Final = [
    b"",
    b"sid=" + _ID,
    b"__Host-sid=" + _ID,
    b"__Secure-sid=" + _ID + b"." + _MAC,
    b"$!#sid=" + _ID + b"." + _STANDING + b"." + _MAC,
    b"a=1; sid=" + _ID + b"; b=2",
    b"sid=" + _ID + b"; sid=" + _ID,
    b"sid=" + _ID + b"; sid=other",
    b"sid=" + _ID + b"\nsid=other",  # two headers, as over HTTP/2
    b"sid = " + _ID + b" ;\tsid\t=\t" + _ID + b"\t",
    b'sid="' + _ID + b'"',
    b'a="; sid=' + _ID + b'; b="',
    b"sid=" + _ID[:-1],
    b"sid=" + _ID + b"A",
    b"sid=" + _ID + b".",
    b"sid=" + _ID + b"..",
    b"sid=" + _ID + b"." + _MAC + b"." + _MAC + b"." + _MAC,
    b"sid=",
    b"sid",
    b"=sid",
    b"==sid=" + _ID,
    b"LEMBRO=" + _ID,
    b"xsid=" + _ID + b"; sidx=" + _ID,
    b"\xe2\x80\x80__Host-sid=" + _ID,  # a Unicode space before the name
    b"\x0bsid=" + _ID + b"; \x0csid=" + _ID,  # characters that Python strips and RFC 6265 does not
    b"$Version=1; sid=" + _ID + b"; $Path=/",
    b"$Version=1, sid=" + _ID,
    b"a=1,sid=" + _ID,
    b"sid=" + _ID + b"\x00; sid=" + _ID + b"\r",
    b"sid=%41" + _ID[1:],
    b"sid=\xff\xfe\xfd",
    b";;;; ;;=;;=;",
    b"\\" * 64 + b'";\\073',
]

_RECORDS: Final = [
    b"",
    b"\x01",
    b"\x01\x92\x80\x80",  # no bytes
    b"\x01\x92\x81\xa8remember\xc3\x81\xa4cart\x93\x01\x02\xa1x",
    b"\x01\x92\x80\x81\xa1a\xc7\x03\x01\x92\x01\x02",  # a tuple of two
    b"\x01\x92\x80\x81\xa1a\xc7\x07\x02\xdd\x00\x00\x00\x02\x01\x02",  # a set of two
    b"\x01\x92\x80\x81\xa1a\xc7\x0b\x0502020-01-02",  # a date with a part too many
    b"\x01\x92\x80\x81\xa1a\xc7\x0a\x052020-01-02",
    b"\x01\x92\x80\x81\xa1a\xc7\x14\x0402020-01-02T03:04:05",
    b"\x01\x92\x80\x81\xa1a\xc7\x1b\x0402020-01-02T03:04:05[Asia/Tokyo]",
    b"\x01\x92\x80\x81\xa1a\xc7\x09\x06003:04:05",
    b"\x01\x92\x80\x81\xa1a\xc7\x04\x07\x93\x01\x02\x03",
    b"\x01\x92\x80\x81\xa1a\xd8\x080123456789abcdef",
    b"\x01\x92\x80\x81\xa1a\xc7\x04\x09sNaN",
    b"\x01\x92\x80\x81\xa1a\xc7\x09\x0a\x01\x00\x00\x00\x00\x00\x00\x00\x00",
    b"\x01\x92\x80\x81\xa1a\xd6\xff\x00\x00\x00\x01",  # msgpack's own timestamp
    b"\x01\x92\x80\x81\xa1a\x81\x92\x01\x02\x03",  # a key that is an array
    b"\x01\x92\x80\x81\xa1a\x81\xd8\x080123456789abcdef\x03",  # a key that is a UUID
    b"\x01\x92\x80\x81\xa1a\xc7\x02\x02\x91\x90",  # a set of a list
    b"\x01\x92\x80\x81\x01\x02",  # a number as a key at the top
    b"\x01\x92\x80\x81\xa1a\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
    b"\x01\x92\x81\xa1m\xc7\x03\x01\x92\x01\x02\x80",  # a tuple in lembro's metadata
    b"\x01\x92\x80\x81\xa1a" + b"\x91" * 120 + b"\xc0",  # deeper than lembro writes
    b"\x02\x92\x80\x80",
    b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os.",  # the beginning of a pickle
    b'{"a": 1}',
]

_VALUES: Final = [
    b"",
    b"\x01\x01a\x00\x02\x00\x01",
    bytes(range(64)),
    bytes(range(255, 0, -1)),
    b"\x04" * 40,
    b"\x03\x02ab\x02\x03\x00\x01\x02\x03\x04\x05\x06\x07" * 4,
    b"\x01\x01k\x05\x00\x0a",
    b"\x02\x01k\x04\x03\x00\x01\x07\x01\x05\x04\x02\x09\x09\x09",
    *(b"\x01\x01k\x06" + bytes([kind]) + b"\x01" + bytes(range(3, 40)) for kind in range(10)),
    *(b"\x01\x01k\x05\x00" + bytes([number]) for number in range(18)),  # each of the refused values
]

_SIZES: Final = [
    text.encode()
    for text in (
        "",
        "0",
        "1",
        "512b",
        "4M",
        "4 mb",
        "1.5 MiB",
        " 64K\n",
        "0.0001k",
        "1e3",
        "1_000",
        "-1",
        "+1",
        "inf",
        "nan",
        "1.",
        ".5M",
        "1.5.5M",
        "4i",
        "4ib",
        "4bb",
        "4kk",
        "4\u212a",  # the Kelvin sign, whose lower case is a k
        "\u0664M",  # a digit four that is not ASCII
        "9223372036854775807",
        "9223372036854775808",
        "8388608T",
        "8388607.999999999999T",
        "0.99999999999999999999999999999K",  # more digits than the precision of Decimal
        "9" * 31,
    )
]

_OLD: Final = [
    b"",
    # each reader's cookie, signed in 2020 with the key of legacy_cookies.py
    b"eyJ1c2VyX2lkIjogNywgImNhcnQiOiBbImJyZWFkIl19.XgvhAA.4kc8mj7J9kQgzM0csyxiO4gOcVc",
    b"eyJfdXNlcl9pZCI6IjciLCJfcGVybWFuZW50Ijp0cnVlLCJ3aGVuIjp7IiB0IjpbMSwyXX19.XgvhAA."
    b"ICoO2uqC5vhSDSgVd_AjynjGZh0",
    b".eJyrVoovLU4tis9MUbJSMlfSUUpOLCpRsopWSipKTUwB8kdpcujYWgAfdmlM.XgvhAA."
    b"mn8qRqs8FyGNoZsW5UoJyeav-Q4",  # compressed
    b"0123456789abcdef0123456789abcdef",
    b"0123456789abcdef0123456789abcdef.L5PCLYw6GzCXtz4_S169C3WKh8c",
    b"d8277964390d1c1e4fce7de156d0a31332b99dc20123456789abcdef0123456789abcdef",
    b"cd5e80973002f70bf81dc8d0094647fc36e31e3aeNqrViotTi2Kz0xRslIw11FQSk4sKgEyo5WSilITU5RiawGv8wpH",
    b"s%3A0123456789abcdef0123456789abcdef.7X75e0maHvIvHWpjNuYul3mSrdeTfWlHtcrzgiINy1I",
    # signed or stored data
    b'{"user_id": 7, "_user_id": "7", "cart": ["bread"], "_permanent": true}',
    b'{"user_id": "", "cookie": {"expires": "2030-01-01T00:00:00.000Z"}, "a": null}',
    b'{"user_id": true, "_user_id": [1]}',
    b'{"_accessed_time": 1e999, "_creation_time": "x", "a": NaN, "b": -Infinity}',
    b'{"a": {" d": "no date"}, "b": {" u": "zz"}, "c": {" b": "%"}, "d": {" m": 1}}',
    b'{"a": {" t": 5}, "b": {" t": [{" di": {}}]}, "c": {" d__": 1}}',
    b'{"a": 123456789012345678901234567890123456789012345678901234567890}',
    b'{"a": "\\ud800", "\\udfff": 1}',
    b'{"a": ' + b"[" * 3000 + b"]" * 3000 + b"}",
    b"[" * 3000,
    b"[1, 2]",
    b"5",
    b"null",
    b'"a"',
    b"\x81\xa8_user_id\xa17",  # msgpack
    b"\x81\xa1a\xd6\xff\x00\x00\x00\x01",  # a timestamp
    b"\x81\xa1a\xc7\x03\x05abc",  # an extension
    b"\x82\x01\xa1a\xc0\x01",  # keys that are not str
    b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os.",  # the beginning of a pickle
    b".eJwBAAD__w",  # compressed, and cut off
    b"%73%3A%ff.",
    b"s:.",
    b"\xff\xfe",
]

CORPUS: Final[dict[str, list[bytes]]] = {
    "cookie_header": _COOKIES,
    "cookie_scan": _COOKIES,
    "record": _RECORDS,
    "session_values": _VALUES,
    "assignment": _VALUES,
    "merging": _VALUES,
    "size_text": _SIZES,
    "legacy_cookie": _OLD,
}
