"""The limits of what is tagged, and of what is refused as a look-alike."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest

from lembro import CodecError
from lembro._core.codec import check, decode, encode, encode_value


def test_another_class_of_the_name_markup_is_refused() -> None:
    """Templates do not escape Markup, so nothing else may be loaded as Markup."""
    with pytest.raises(CodecError, match="cannot store a Markup"):
        check("k", type("Markup", (), {})())


def test_an_empty_dict_of_a_subclass_is_stored() -> None:
    assert decode(encode({}, {"k": OrderedDict()}))[1] == {"k": {}}


def test_a_dict_that_shows_another_value_of_one_key_is_refused() -> None:
    class LastOf(dict[str, Any]):
        def items(self) -> Any:
            return {key: value[-1] for key, value in super().items()}.items()

    with pytest.raises(CodecError, match="cannot store a LastOf"):
        check("k", LastOf({"same": "a", "other": ["a", "b"]}))


def test_the_smallest_integer_of_64_bits_needs_no_tag() -> None:
    assert encode_value((-(2**63),)) == b"\xc7\x0a\x01\x91\xd3\x80" + bytes(7)
