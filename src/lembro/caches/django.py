"""A Django cache of a bounded size: ``LembroCache``, a backend of CACHES.

Values are never pickled. A value is what a session can hold, or what Django itself caches: a page
(``HttpResponse``) or a part of a template (``SafeString``).
"""

from __future__ import annotations

import importlib
import sys
import threading
from http.cookies import Morsel
from typing import TYPE_CHECKING, Any, Final, NoReturn

from .._hints import STORE_NAMES
from .._log import log
from ..errors import CodecError, ConfigError, SessionTooLarge
from ..stores.memory import MemoryStore
from ._cache import Cache

try:
    from django import http
    from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
    from django.http import HttpResponse
    from django.template.response import SimpleTemplateResponse, TemplateResponse
    from django.utils.safestring import SafeString
except ImportError as _missing:  # pragma: no cover
    raise ImportError("lembro.caches.django needs Django: pip install 'lembro[django]'") from (
        _missing
    )

__all__ = ["LembroCache"]

_RESPONSES: Final[dict[str, type]] = {
    kind.__name__: kind
    for kind in (SimpleTemplateResponse, TemplateResponse, *map(vars(http).get, http.__all__))
    if isinstance(kind, type) and issubclass(kind, HttpResponse)
}
"""Django's classes of responses. A cached response comes back as an instance of its class."""
_DRF_ATTRIBUTES: Final = ("data", "exception", "content_type")

_MARK: Final = b"lembro.django"
"""The first item of a tuple that represents a value which a session cannot hold."""

_lock: Final = threading.Lock()
_stores: Final[dict[str, tuple[dict[str, Any], MemoryStore]]] = {}

if TYPE_CHECKING:  # Django is not typed

    class _Base:
        default_timeout: float | None

        def __init__(self, params: dict[str, Any]) -> None: ...

        def make_and_validate_key(self, key: Any, version: int | None = None) -> str: ...
else:
    _Base = BaseCache


class LembroCache(_Base):
    """A Django cache in its own MemoryStore.

    Example: ``CACHES = {"default": {"BACKEND": "lembro.caches.django.LembroCache", "OPTIONS":
    {"max_size": "64M"}}}``. Caches with the same LOCATION share one store. If a value is too large,
    it is not stored, and a message is logged.

    Args:
        location: The LOCATION in CACHES.
        params: The other settings of this cache.

    Raises:
        ConfigError: OPTIONS cannot work.
        CodecError: A value cannot be stored (raised by the methods that store).
    """

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        options = dict(params.get("OPTIONS") or {})
        unknown = set(options) - set(STORE_NAMES) - {"MAX_ENTRIES", "CULL_FREQUENCY"}
        if unknown:
            raise ConfigError(
                f"CACHES has unknown OPTIONS: {', '.join(sorted(unknown))}. The known ones are "
                f"{', '.join(STORE_NAMES)}"
            )
        own = {name: options[name] for name in STORE_NAMES if name in options}
        store = _store_of(location, own) if own else self._default_store()
        self._cache = Cache(store, "django", location)

    def _default_store(self) -> Any:
        """Return the store of a cache without OPTIONS."""
        raise ConfigError(
            'lembro.caches.django.LembroCache needs a size. Example: "OPTIONS": {"max_size": "64M"}'
            ". Or use lembro.integrations.django.LembroCache, which can share the sessions' store"
        )

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Return the value of a key, or the default."""
        found = self._cache.get(self._key(key, version), _MARK)
        return default if found is _MARK else _loaded(found)

    async def aget(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Return the value of a key; see :meth:`get`."""
        found = await self._cache.aget(self._key(key, version), _MARK)
        return default if found is _MARK else _loaded(found)

    def set(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        """Store a value. ``timeout`` is in seconds; None: it never expires."""
        name = self._key(key, version)
        try:
            self._cache.set(name, _dumped(value), self._left(timeout))
        except SessionTooLarge as error:
            self._cache.delete(name)
            _too_large(error)

    async def aset(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        """Store a value; see :meth:`set`."""
        name = self._key(key, version)
        try:
            await self._cache.aset(name, _dumped(value), self._left(timeout))
        except SessionTooLarge as error:
            await self._cache.adelete(name)
            _too_large(error)

    def add(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Store a value unless the key has one. Return whether it was stored."""
        try:
            return self._cache.add(self._key(key, version), _dumped(value), self._left(timeout))
        except SessionTooLarge as error:
            return _too_large(error)

    async def aadd(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Store a value unless the key has one; see :meth:`add`."""
        name = self._key(key, version)
        try:
            return await self._cache.aadd(name, _dumped(value), self._left(timeout))
        except SessionTooLarge as error:
            return _too_large(error)

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Give a key a new timeout. Return whether there is such a key."""
        return self._cache.touch(self._key(key, version), self._left(timeout))

    async def atouch(
        self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Give a key a new timeout; see :meth:`touch`."""
        return await self._cache.atouch(self._key(key, version), self._left(timeout))

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Remove a key. Return whether there was one."""
        return self._cache.delete(self._key(key, version))

    async def adelete(self, key: Any, version: int | None = None) -> bool:
        """Remove a key; see :meth:`delete`."""
        return await self._cache.adelete(self._key(key, version))

    def has_key(self, key: Any, version: int | None = None) -> bool:
        """Return whether there is such a key."""
        return self._cache.has(self._key(key, version))

    async def ahas_key(self, key: Any, version: int | None = None) -> bool:
        """Return whether there is such a key."""
        return await self._cache.ahas(self._key(key, version))

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Add to a number in one step, and return the sum.

        Raises:
            ValueError: There is no such key.
            TypeError: The value is not a number.
        """
        name = self._key(key, version)
        number = self._cache.incr(name, delta, initial=None)
        return _not_added(key, self._cache.has(name)) if number is None else number

    async def aincr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Add to a number; see :meth:`incr`."""
        name = self._key(key, version)
        number = await self._cache.aincr(name, delta, initial=None)
        return _not_added(key, await self._cache.ahas(name)) if number is None else number

    async def adecr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Subtract from a number; see :meth:`incr`."""
        return await self.aincr(key, -delta, version)

    def clear(self) -> None:
        """Remove all keys of this LOCATION. Sessions stay."""
        self._cache.clear()

    async def aclear(self) -> None:
        """Remove all keys; see :meth:`clear`."""
        await self._cache.aclear()

    def _key(self, key: Any, version: int | None) -> str:
        return self.make_and_validate_key(key, version=version)

    def _left(self, timeout: Any) -> float | None:
        left: float | None = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return left


def _store_of(location: str, settings: dict[str, Any]) -> MemoryStore:
    """Return the store of a LOCATION. Each thread has its own backend, but there is one store."""
    with _lock:
        if location not in _stores:
            _stores[location] = settings, MemoryStore(**settings)
        known, store = _stores[location]
        if known != settings:
            raise ConfigError(
                f"CACHES has the LOCATION {location!r} twice, with OPTIONS {known} and {settings}. "
                f"Give each cache its own LOCATION"
            )
        return store


def _too_large(error: SessionTooLarge) -> bool:
    log.warning(
        "lembro: a value of %d bytes is not cached, because the limit is %d bytes. Cache less, or "
        "raise max_session_size",
        error.size,
        error.limit,
    )
    return False


def _not_added(key: Any, there: bool) -> NoReturn:
    if there:
        raise TypeError(f"the value of key {key!r} is None, not a number")
    raise ValueError(f"Key '{key}' not found")


# -- values that a session cannot hold -------------------------------------------------------------


def _dumped(value: Any) -> Any:
    if isinstance(value, SafeString):
        return _MARK, "safe", str.__str__(value)
    if isinstance(value, HttpResponse):
        return _MARK, "response", _dump_response(value)
    if type(value) is tuple and value[:1] == (_MARK,):
        return _MARK, "tuple", value
    return value


def _loaded(value: Any) -> Any:
    if type(value) is not tuple or value[:1] != (_MARK,):
        return value
    _, kind, content = value
    if kind == "safe":
        return SafeString(content)
    return _load_response(content) if kind == "response" else content


def _drf() -> Any:
    """Return Django REST framework's ``Response``, if the application has imported it."""
    return getattr(sys.modules.get("rest_framework.response"), "Response", None)


def _dump_response(response: Any) -> dict[str, Any]:
    kind = type(response)
    own: dict[str, Any] = {}
    if kind is _drf():
        own = {name: getattr(response, name) for name in _DRF_ATTRIBUTES}
    elif _RESPONSES.get(kind.__name__) is not kind:
        raise CodecError(
            f"a cache cannot store a {kind.__name__}, because it may hold more than Django's "
            f"responses; store django.http.HttpResponse(response.content, headers=response.headers)"
        )
    return {
        "kind": kind.__name__,
        "own": own,
        "status": response.status_code,
        "reason": response.reason_phrase,
        "headers": list(response.items()),
        "cookies": [
            (cookie.key, cookie.value, {name: value for name, value in cookie.items() if value})
            for cookie in response.cookies.values()
        ],
        "content": bytes(response.content),
    }


def _load_response(dumped: dict[str, Any]) -> Any:
    response: Any = HttpResponse(
        dumped["content"], status=dumped["status"], reason=dumped["reason"]
    )
    name = dumped["kind"]
    if name not in _RESPONSES:
        importlib.import_module("rest_framework.response")
    kind = _RESPONSES[name] if name in _RESPONSES else _drf()
    response.__class__ = kind
    if issubclass(kind, SimpleTemplateResponse):  # as Django's own caches return it
        response._is_rendered, response._post_render_callbacks = True, []
    vars(response).update(dumped["own"])
    del response["Content-Type"]
    for name, value in dumped["headers"]:
        response[name] = value
    for name, value, attributes in dumped["cookies"]:
        response.cookies[name] = value
        cookie: Morsel[str] = response.cookies[name]
        cookie.update(attributes)
    return response
