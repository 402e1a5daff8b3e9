"""Values that stored records, logs, errors and the docs depend on."""

from __future__ import annotations

import inspect
import logging
from typing import Any

import pytest

from lembro import CodecError, MemoryStore, Session, SessionInfo, SessionManager
from lembro._core import codec
from lembro._core.user_sessions import CACHE_ENTRY
from lembro._http.cookie import MOST_VALUES
from lembro._runtime import store_check
from lembro._runtime.issued import MOST
from tests.support.site import Site


def test_the_first_byte_of_a_cache_entry_is_fixed() -> None:
    assert CACHE_ENTRY == b"\x02"


def test_limits_of_what_is_read_and_remembered() -> None:
    assert (MOST_VALUES, MOST) == (8, 1000)


@pytest.mark.parametrize("method", [Session.on_ended, Session.wait_ended])
def test_a_store_is_asked_every_five_seconds_whether_a_session_has_ended(method: Any) -> None:
    assert inspect.signature(method).parameters["poll"].default == 5


def test_a_description_of_a_session_has_no_device_unless_one_is_given() -> None:
    info = SessionInfo("h", 1.0, 1.0, 1.0, 1.0, {}, "ana", True)
    assert (info.device, info.address) == ("", "")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("float", r"store float\(value\)"),
        ("list", r"store list\(value\)"),
        ("_Timedelta", r"store value.to_pytimedelta\(\)"),
        ("NAType", "store None"),
        ("NaTType", "store None"),
    ],
)
def test_the_advice_for_a_value_follows_the_name_of_its_class(name: str, hint: str) -> None:
    with pytest.raises(CodecError, match=f"cannot store an? {name}; {hint}$"):
        codec.check("k", type(name, (), {})())


def test_an_error_of_the_encoding_names_the_session() -> None:
    with pytest.raises(CodecError, match=r"^k: a session cannot store an object"):
        codec.encode({}, {"k": object()})


@pytest.mark.parametrize("call", ["length", "stats"])
def test_statistics_in_a_script_are_not_warned_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(store_check, "_warned", set())  # it warns once in a process
    manager = SessionManager(MemoryStore("1M"))
    getattr(manager, call)()
    assert ("only" in caplog.text) == (call != "stats")


def test_a_rejected_cookie_is_logged_as_information(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    cookie = site.new(n=1)
    site.store.corrupt(cookie)
    with caplog.at_level(logging.DEBUG, "lembro"):
        len(site.open(cookie))
    (record,) = [each for each in caplog.records if "rejected" in each.message]
    assert record.levelno == logging.INFO


def test_the_error_for_a_value_within_itself_names_the_limit() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(CodecError, match=r"^k[^ ]*: values may be nested at most"):
        codec.check("k", endless)
