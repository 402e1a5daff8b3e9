"""The targets of the fuzzer, run over the corpus and over inputs similar to it.

``make fuzz`` searches further. Its findings are added to the corpus, so this test runs them too.
"""

from __future__ import annotations

import json
import random
import sys
from base64 import b64encode
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz import legacy_cookies, rfc6265, values
from fuzz.corpus import CORPUS
from fuzz.legacy_cookies import legacy_cookie
from fuzz.source import Source
from fuzz.targets import TARGETS
from fuzz.values import REFUSED, same
from lembro import CodecError, CookieOptions
from lembro._core import codec, tags
from lembro._http.cookie import SessionCookie, find
from lembro.migrate import LegacySession

ROUNDS, EXAMPLES = 1000, 300
SLOWER = {"legacy_cookie": 5}
"""Targets that take several times as long as the others, and by how much their inputs are fewer."""


def test_each_target_has_seeds() -> None:
    assert CORPUS.keys() == TARGETS.keys()
    assert all(CORPUS.values())


@pytest.mark.parametrize(
    ("name", "seed"),
    [(name, seed) for name, seeds in CORPUS.items() for seed in seeds],
    ids=lambda part: part if isinstance(part, str) else repr(part)[2:42],
)
def test_the_corpus_has_no_finding(name: str, seed: bytes) -> None:
    TARGETS[name](seed)


def mutated(chance: random.Random, seeds: list[bytes]) -> bytes:
    """Return a seed with bytes changed, inserted or removed, or with the end of another seed."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(data))
        match chance.randint(0, 4):
            case 0:
                data[at : at + 1] = chance.randbytes(1)
            case 1:
                data[at:at] = chance.randbytes(chance.randint(1, 3))
            case 2:
                del data[at : at + 1]
            case 3:
                data[at:at] = chance.randbytes(chance.randint(50, 200))
            case _:
                other = chance.choice(seeds)
                data[at:] = other[chance.randint(0, len(other)) :]
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_similar_to_the_corpus_have_no_finding(name: str) -> None:
    chance = random.Random(20_260_101)
    for number in range(ROUNDS // SLOWER.get(name, 1)):
        data = mutated(chance, CORPUS[name])
        try:
            TARGETS[name](data)
        except Exception as error:
            error.add_note(f"input {number}, for the corpus: {data!r}")
            raise


@pytest.mark.parametrize("name", TARGETS)
def test_random_bytes_have_no_finding(name: str) -> None:
    examples = EXAMPLES // SLOWER.get(name, 1)

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None)
    @given(st.binary(max_size=400))
    def run(data: bytes) -> None:
        TARGETS[name](data)

    run()


# -- the targets would find a fault ----------------------------------------------------------------


def test_each_legacy_reader_accepts_a_cookie_of_the_corpus() -> None:
    assert all(legacy_cookies.issued())
    legacy_cookies.HELD.value = legacy_cookies.STORED
    for known in legacy_cookies.readers():
        if known.stored:
            old = known.source.read(known.stored)
            assert isinstance(old, LegacySession)
            data = {**old.data, "_accessed_time": 1600000000}  # the key of Beaker
            assert (old.user, data) == ("7", json.loads(legacy_cookies.STORED))


def test_an_unsigned_cookie_that_is_accepted_would_be_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    legacy_cookies.issued()
    forged = CORPUS["legacy_cookie"][1].replace(b"eyJ1", b"eyJ2")
    legacy_cookie(forged)
    monkeypatch.setattr(
        "lembro.migrate._starlette._unsigned", lambda signer, value, age: b64encode(b'{"a": 1}')
    )
    monkeypatch.setattr("lembro.migrate._starlette._signed_part", lambda value: value)
    with pytest.raises(AssertionError):
        legacy_cookie(forged)


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: type(make()).__name__)
def test_each_refused_value_is_refused_in_any_container(make: Callable[[], Any]) -> None:
    for value in (make(), [make()], (make(),), {"k": make()}):
        with pytest.raises(CodecError):
            codec.check("key", value)


def test_the_builder_builds_every_type() -> None:
    """Otherwise a type that the codec supports would not be tested."""
    seen: set[type] = set()

    def note(value: Any) -> None:
        seen.add(type(value))
        if isinstance(value, dict):
            for key, item in value.items():
                note(key)
                note(item)
        elif isinstance(value, list | tuple | set | frozenset):
            for item in value:
                note(item)

    chance = random.Random(7)
    for _ in range(2000):
        builder = values.Builder(Source(chance.randbytes(200)))
        data = builder.data()
        if not builder.refused:
            note(data)
    assert tags.PLAIN | set(tags._TAGGERS) | {list, dict} <= seen


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 1.0), (1, True), (0.0, -0.0), ((1,), [1]), ({1}, frozenset({1})), ({"a": 1}, {"a": 1.0})],
)
def test_same_distinguishes_types(one: Any, other: Any) -> None:
    assert not same(one, other)
    assert same(one, one)
    assert same(other, other)


@pytest.mark.parametrize(
    ("header", "pairs"),
    [
        (b"a=1; b=2", [(b"a", b"1"), (b"b", b"2")]),
        (b'a="1"', [(b"a", b'"1"')]),
        (b"a=", [(b"a", b"")]),
        (b"a=1;b=2", None),
        (b"a", None),
        (b"a=1; ", None),
        (b"a=1 2", None),
        (b'a="', None),
        (b"(=1", None),
    ],
)
def test_the_grammar_matches_the_standard(header: bytes, pairs: rfc6265.Pairs | None) -> None:
    assert rfc6265.by_the_grammar(header) == pairs


# -- linear ----------------------------------------------------------------------------------------


def lines_of(run: Callable[[], object]) -> int:
    """Count the lines of Python that a call executes: the work, independent of time."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("part", [b"sid=x; ", b"\\", b";", b"a=b; ", b'"=; ', b"sid", b"=;sid;"])
def test_a_header_of_four_times_the_length_is_four_times_the_work(part: bytes) -> None:
    cookie = SessionCookie(CookieOptions())

    def work(repeats: int) -> int:
        header = part * repeats
        return lines_of(lambda: (find([header], b"sid"), cookie.read([header], https=False)))

    assert work(40_000 // len(part)) <= 4 * work(10_000 // len(part)) + 100
