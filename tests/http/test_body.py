"""Bodies: what is taken, what is refused, and that a refusal costs little."""

import time
from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.http.body import DEPTH_MAX, BadBody, convert, fields, parse
from signalbox.http.errors import Failure


class Wanted(msgspec.Struct):
    """Some body."""

    number: Annotated[int, msgspec.Meta(ge=1)] = 1
    text: str = ""
    flag: bool = False


class Needed(msgspec.Struct):
    """A part of a body."""

    name: str


def refusal(octets: bytes) -> str:
    with pytest.raises(BadBody) as caught:
        convert(octets, Wanted)
    return str(caught.value)


def test_a_body_becomes_what_was_asked_for() -> None:
    assert convert(b'{"number":5,"text":"\\u00fc \\ud83d\\ude00","flag":true}', Wanted) == Wanted(
        5, "ü 😀", flag=True
    )


def test_a_name_nobody_asked_for_is_ignored() -> None:
    assert convert(b'{"number":5,"is_admin":true}', Wanted) == Wanted(5)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"{",
        b"nonsense",
        b"{'number':5}",
        b'{"number":5}{}',
        b"\xef\xbb\xbf{}",
        '{"number":5}'.encode("utf-16"),
        b'{"text":"\xff"}',
        b'{"text":"\xed\xa0\x80"}',
        b'{"text":"\x00"}',
        b'{"text":"\n"}',
        b'{"number":' + b"1" * 5_000 + b"}",
    ],
)
def test_what_is_no_json_is_refused(octets: bytes) -> None:
    assert refusal(octets) == "invalid request body: not valid JSON"


@pytest.mark.parametrize("octets", [b"[]", b'"text"', b"5", b"null", b"true", b'[{"number":5}]'])
def test_only_an_object_is_taken(octets: bytes) -> None:
    assert refusal(octets) == "invalid request body: expected a JSON object"


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b'{"number":1,"number":2}', "a name occurs twice"),
        (b'{"other":{"a":1,"a":1}}', "a name occurs twice"),
        (b'{"number":NaN}', "NaN is not JSON"),
        (b'{"number":-Infinity}', "-Infinity is not JSON"),
        (b'{"other":1e999}', "number out of range"),
        (b'{"number":9223372036854775808}', "number out of range"),
        (b'{"other":-9223372036854775809}', "number out of range"),
        (b'{"text":"a\\u0000b"}', "NUL in a string"),
        (b'{"a\\u0000b":1}', "NUL in a string"),
        (b'{"text":"\\ud800"}', "lone surrogate in a string"),
        (b'{"other":["\\udc00\\ud800"]}', "lone surrogate in a string"),
        (b'{"other":' + b"[" * 32 + b"]" * 32 + b"}", "nested too deeply"),
        (b'{"number":true}', "Expected int, got bool - at $.number"),
        (b'{"number":"5"}', "Expected int, got str - at $.number"),
        (b'{"number":5.5}', "Expected int, got float - at $.number"),
        (b'{"number":0}', "Expected int >= 1 - at $.number"),
        (b'{"flag":1}', "Expected bool, got int - at $.flag"),
        (b'{"text":null}', "Expected str, got null - at $.text"),
    ],
)
def test_what_json_libraries_let_pass_is_refused(octets: bytes, reason: str) -> None:
    assert refusal(octets) == f"invalid request body: {reason}"


def test_brackets_in_strings_are_no_nesting() -> None:
    text = '[{"' * DEPTH_MAX
    assert convert(msgspec.json.encode({"text": text}), Wanted).text == text


@pytest.mark.parametrize(
    "octets",
    [
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b"[" * 40 + b'"' + b'\\"' * 500_000,
        b"[" * 40 + b'"' + b'\\"' * 500_000 + b"\\",
        b"[" * 31 + b'"' * 900_000,
    ],
    ids=["lists", "objects", "escaped quotes", "escaped end", "quotes"],
)
def test_a_hostile_megabyte_is_refused_at_once(octets: bytes) -> None:
    started_s = time.process_time()
    refusal(octets)
    assert time.process_time() - started_s < 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_json_that_can_be_stored_is_read_as_it_was_written(value: object) -> None:
    octets = msgspec.json.encode(value)
    if b"\\u0000" not in octets:
        assert parse(octets) == value


@given(st.binary(max_size=200))
def test_octets_are_json_or_refused(octets: bytes) -> None:
    try:
        parse(octets)
    except BadBody:
        return
    octets.decode()


# As surfaces of phones read them


@pytest.mark.parametrize(
    ("octets", "status", "error"),
    [
        (b"{", 400, "invalid request body: not valid JSON"),
        (b"[]", 400, "invalid request body: expected a JSON object"),
        (b'{"number":1,"number":2}', 400, "invalid request body: a name occurs twice"),
        (b'{"number":"1"}', 422, "number: expected int, got str"),
        (b'{"number":0}', 422, "number: expected int >= 1"),
        (b'{"text":"\\u0000"}', 422, "invalid request body: NUL in a string"),
        (b'{"text":"\\ud800"}', 422, "invalid request body: lone surrogate in a string"),
    ],
)
def test_a_field_that_is_wrong_is_told_from_what_is_no_object(
    octets: bytes, status: int, error: str
) -> None:
    with pytest.raises(Failure) as caught:
        fields(octets, Wanted)
    assert (caught.value.status, caught.value.error) == (status, error)


def test_a_field_that_is_missing_is_named_with_where_it_belongs() -> None:
    class Outer(msgspec.Struct):
        members: list[Needed]

    for octets, error in (
        (b"{}", "members: required"),
        (b'{"members":[{"name":"a"},{}]}', "members[1].name: required"),
        (b'{"members":[{"name":1}]}', "members[0].name: expected str, got int"),
    ):
        with pytest.raises(Failure) as caught:
            fields(octets, Outer)
        assert caught.value.error == error


def test_what_can_not_be_stored_is_mended_on_request() -> None:
    octets = b'{"text":"a\\u0000\\ud800b \\ud83d\\ude00","other":[{"\\u0000":"\\udfff"}]}'
    assert fields(octets, Wanted, mend=True).text == "a\ufffd\ufffdb 😀"
    assert parse(octets, mend=True) == {
        "text": "a\ufffd\ufffdb 😀",
        "other": [{"\ufffd": "\ufffd"}],
    }
