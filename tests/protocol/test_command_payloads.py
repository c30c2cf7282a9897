"""What arrives on `set`, `get` and `gateway/request/...`, and the exact bytes of what is answered (docs/topics.md)."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nuki2mqtt.model.command import Evidence, Reason, Status
from nuki2mqtt.protocol.command_payloads import (
    MAX_COMMAND_BYTES,
    MAX_TRANSACTION_CHARS,
    MAX_WORD_CHARS,
    BadCommand,
    CommandOrder,
    CommandResult,
    GetOrder,
    RequestOrder,
    parse_command,
    parse_get,
    parse_request,
    render_response,
    render_result,
    transaction_key,
)

GIVEN_AT = datetime(2026, 11, 21, 20, 15, 3, tzinfo=UTC)
EPOCH = int(GIVEN_AT.timestamp())
PARSERS: tuple[Callable[[bytes], object], ...] = (parse_command, parse_get, parse_request)


def command(**values: Any) -> CommandOrder:
    return parse_command(json.dumps({"action": "unlock", **values}).encode())


def test_what_a_gateway_has_said_is_no_command() -> None:
    """An Opener's snapshot that a client says back to `set` would strike, a result would do what it tells of."""
    result = CommandResult(transaction="a", action="unlatch", status=Status.CONFIRMED)
    for said in (render_result(result), b'{"id":"2A2B3C4F","nuki_id":707476559,"state":"open","state_code":5}'):
        assert "has said" in str(refusal(parse_command, said))
    event = b'{"event_type":"command_failed","at":"2026-11-22T12:00:00Z","action":"unlatch","reason":"busy"}'
    assert "has said" in str(refusal(parse_command, event))


@pytest.mark.parametrize("key", ["status", "nuki_id", "event_type", "id", "at"])
def test_keys_of_other_programs_do_no_harm(key: str) -> None:
    assert parse_command(json.dumps({"action": "lock", key: "mine"}).encode()).word == "lock"


def refusal(parse: Callable[[bytes], object], payload: bytes | str) -> BadCommand:
    with pytest.raises(BadCommand) as caught:
        parse(payload if isinstance(payload, bytes) else payload.encode())
    return caught.value


# --- Words and numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "word"),
    [
        (b"unlock", "unlock"),
        (b" LOCK \r\n", "LOCK"),
        (b"\xef\xbb\xbfunlock", "unlock"),
        (b'"unlock"', "unlock"),
        (b"lock 'n' go", "lock 'n' go"),
        ("Lock\u2019n\u2019Go".encode(), "Lock\u2019n\u2019Go"),
        (b"3", 3),
        (b'"3"', 3),
        (b" 3 ", 3),
        (b"-1", -1),
        (b"999", 999),
        (b"1000", "1000"),
        (b'{"action":"unlock"}', "unlock"),
        (b'\xef\xbb\xbf {"action":"unlock"} ', "unlock"),
        (b'{"action":" unlock "}', "unlock"),
        (b'{"action":3}', 3),
        (b'{"action":"3"}', 3),
        (b'{"state":"LOCK"}', "LOCK"),
        (b'{"action":"lock","what":["ever"]}', "lock"),
        (b'{"action":"nonsense"}', "nonsense"),
    ],
)
def test_a_word_a_number_or_an_object(payload: bytes, word: str | int) -> None:
    assert parse_command(payload) == CommandOrder(word)


def test_a_superscript_is_no_number() -> None:
    assert parse_command("²".encode()).word == "²"
    assert parse_command("٣".encode()).word == "٣"


def test_a_huge_number_is_a_word_that_is_cut() -> None:
    assert parse_command(b"9" * 4000).word == "9" * MAX_WORD_CHARS
    assert parse_command(b"9" * 4000).shown_word == "9" * MAX_WORD_CHARS


def test_what_is_shown_of_a_number() -> None:
    assert CommandOrder(3).shown_word == "3"


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b" \r\n", "only blanks"),
        (b"\xef\xbb\xbf", "only blanks"),
        (b"\xff\xfe", "not UTF-8"),
        (b"\xed\xa0\x80", "not UTF-8"),  # half a surrogate pair
        (b"null", "neither a word, a number nor a JSON object"),
        (b"true", "neither a word, a number nor a JSON object"),
        (b"1.5", "neither a word, a number nor a JSON object"),
        (b"1e999", "neither a word, a number nor a JSON object"),
        (b'["unlock"]', "neither a word, a number nor a JSON object"),
        (b"NaN", "NaN is no JSON"),
        (b"-Infinity", "-Infinity is no JSON"),
        (b"{", "not JSON"),
        (b'{"action":"unlock"', "not JSON"),
        (b'"unlock', "not JSON"),
        (b"[", "not JSON"),
        (b"x" * (MAX_WORD_CHARS + 1), "not JSON"),
        (b"9" * 5001, "not JSON"),  # 10**5000, which json refuses to make an int of
        (b"[" * MAX_COMMAND_BYTES, "not JSON"),
        (b"x" * (MAX_COMMAND_BYTES + 1), f"longer than {MAX_COMMAND_BYTES} bytes"),
        (b'{"action":"unlock","x":"' + b"x" * 70_000 + b'"}', f"longer than {MAX_COMMAND_BYTES} bytes"),
        (b"{}", 'exactly one of "action" and "state" is needed'),
        (b'{"action":"lock","state":"LOCK"}', 'exactly one of "action" and "state" is needed'),
        (b'{"action":null,"state":"LOCK"}', 'exactly one of "action" and "state" is needed'),
        (b'{"action":null}', "the action must be a word or a number"),
        (b'{"action":true}', "the action must be a word or a number"),
        (b'{"action":1.0}', "the action must be a word or a number"),
        (b'{"action":["unlock"]}', "the action must be a word or a number"),
        (b'{"action":""}', "the action must be a word or a number"),
        (b'{"action":" "}', "the action must be a word or a number"),
        (b'" "', "the action must be a word or a number"),
        (b'{"action":"' + b"x" * (MAX_WORD_CHARS + 1) + b'"}', "the action must be a word or a number"),
        (b'{"action":"unlock","ts":NaN}', "NaN is no JSON"),
    ],
)
def test_what_is_no_command(payload: bytes, text: str) -> None:
    assert str(refusal(parse_command, payload)) == text


def test_the_longest_command_is_taken() -> None:
    body = b'{"action":"unlock"}'
    assert parse_command(body.ljust(MAX_COMMAND_BYTES)) == CommandOrder("unlock")
    assert parse_command(b"x" * MAX_WORD_CHARS).word == "x" * MAX_WORD_CHARS


@pytest.mark.parametrize("parse", PARSERS)
def test_sixteen_levels_are_read_and_no_more(parse: Callable[[bytes], object]) -> None:
    parse(b'{"action":"lock","x":' + b"[" * 15 + b"]" * 15 + b"}")
    assert str(refusal(parse, b'{"action":"lock","x":' + b"[" * 16 + b"]" * 16 + b"}")) == "nested too deep"
    assert str(refusal(parse, b'{"action":"lock","x":' + b'{"x":' * 16 + b"1" + b"}" * 17)) == "nested too deep"


def test_a_refusal_says_as_much_of_the_command_as_could_be_read() -> None:
    no_word = refusal(parse_command, '{"transaction":"a1"}')
    assert (no_word.transaction, no_word.word) == ("a1", None)
    bad_word = refusal(parse_command, '{"action":[],"transaction":"a1"}')
    assert (bad_word.transaction, bad_word.word) == ("a1", None)
    bad_ts = refusal(parse_command, '{"action":3,"transaction":"a1","ts":"soon"}')
    assert (bad_ts.transaction, bad_ts.word) == ("a1", "3")
    bad_transaction = refusal(parse_command, '{"action":"lock","transaction":"\\ud83d"}')
    assert (bad_transaction.transaction, bad_transaction.word) == (None, None)


# --- Transactions -----------------------------------------------------------------------------------------------------

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
)
TRANSACTIONS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
).filter(lambda value: len(json.dumps(value, ensure_ascii=False).encode(errors="replace")) <= 500)


def is_sayable(value: Any) -> bool:
    """Whether UTF-8 can write it: half a surrogate pair cannot be."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


@given(TRANSACTIONS.filter(is_sayable))
@example({"b": [1, {"a": 2.5}], "ü": None})
@example(10**400)
@example(-0.0)
def test_a_transaction_comes_back_as_it_was_sent(transaction: Any) -> None:
    order = command(transaction=transaction)
    said = json.loads(render_result(CommandResult(transaction=order.transaction, action="lock", status=Status.FAILED)))
    answered = json.loads(render_response({}, None, order.transaction))

    assert json.dumps(said["transaction"]) == json.dumps(transaction)  # as text, since 1 == True == 1.0
    assert json.dumps(answered["transaction"]) == json.dumps(transaction)
    assert parse_get(json.dumps({"transaction": transaction}).encode()).transaction == transaction
    assert parse_request(json.dumps({"transaction": transaction}).encode()).transaction == transaction


def turned_round(value: Any) -> Any:
    """The same value with the keys of its objects in another order."""
    match value:
        case dict():
            return {key: turned_round(value[key]) for key in reversed(value)}
        case list():
            return [turned_round(item) for item in value]
        case _:
            return value


@given(TRANSACTIONS, TRANSACTIONS)
@example(1, True)
@example("1", 1)
@example(None, "null")
def test_keys_are_equal_exactly_for_equal_transactions(one: Any, other: Any) -> None:
    assert transaction_key(one) == transaction_key(turned_round(one))
    are_equal = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (transaction_key(one) == transaction_key(other)) is are_equal


def test_what_makes_two_commands_the_same() -> None:
    at = "2026-11-21T20:15:03Z"
    assert command().key is None
    assert command(transaction=None).key is None
    assert command(transaction="a1").key == command(transaction="a1", ts=at).key == '"a1"'
    assert command(transaction=0).key == "0"  # what is false is a transaction, too
    assert command(ts=at).key == command(ts="2026-11-21T21:15:03+01:00").key == command(ts=EPOCH).key
    assert command(ts=at).key != command(ts="2026-11-21T20:15:03.001Z").key
    assert command(transaction=f"ts {EPOCH}.000000").key != command(ts=EPOCH).key


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ('"\\ud83d"', '"transaction" cannot be repeated'),
        ('{"x":"\\udc00"}', '"transaction" cannot be repeated'),
        ('{"\\ud800":1}', '"transaction" cannot be repeated'),
        ("1e999", '"transaction" cannot be repeated'),
        ("[-1e999]", '"transaction" cannot be repeated'),
        (f'"{"x" * (MAX_TRANSACTION_CHARS - 1)}"', '"transaction" is too long'),
        (f'"{"ü" * (MAX_TRANSACTION_CHARS // 2)}"', '"transaction" is too long'),
    ],
)
@pytest.mark.parametrize("parse", PARSERS)
def test_a_transaction_that_could_not_be_said_again(parse: Callable[[bytes], object], written: str, text: str) -> None:
    assert str(refusal(parse, f'{{"action":"lock","transaction":{written}}}')) == text


def test_the_longest_transaction_is_kept() -> None:
    longest = "x" * (MAX_TRANSACTION_CHARS - 2)  # its quotes count
    assert command(transaction=longest).transaction == longest
    pair = "\U0001f511"
    assert parse_command(b'{"action":"lock","transaction":"\\ud83d\\udd11"}').transaction == pair


# --- Times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ts", "at"),
    [
        ("2026-11-21T20:15:03Z", GIVEN_AT),
        ("2026-11-21T20:15:03+00:00", GIVEN_AT),
        ("2026-11-21T21:15:03+01:00", GIVEN_AT),
        ("2026-11-21T10:45:03-0930", GIVEN_AT),
        (" 2026-11-21 20:15:03Z ", GIVEN_AT),
        ("20261121T201503Z", GIVEN_AT),
        ("2026-11-21T20:15:03.5Z", GIVEN_AT + timedelta(seconds=0.5)),
        ("2026-11-21T20:15:03.123456+00:00", GIVEN_AT + timedelta(microseconds=123456)),
        (EPOCH, GIVEN_AT),
        (float(EPOCH), GIVEN_AT),
        (EPOCH + 0.5, GIVEN_AT + timedelta(seconds=0.5)),
        (str(EPOCH), GIVEN_AT),
        (f" {EPOCH}.25 ", GIVEN_AT + timedelta(seconds=0.25)),
        (EPOCH * 1000, GIVEN_AT),
        (EPOCH * 1000 + 250, GIVEN_AT + timedelta(seconds=0.25)),
        (str(EPOCH * 1000), GIVEN_AT),
        (99_999_999_999, datetime.fromtimestamp(99_999_999_999, UTC)),  # the last second
        (100_000_000_000, datetime.fromtimestamp(100_000_000, UTC)),  # the first millisecond
        ("100000000000", datetime.fromtimestamp(100_000_000, UTC)),
        (0, datetime.fromtimestamp(0, UTC)),
        (-1, datetime.fromtimestamp(-1, UTC)),
        (-100_000_000_000, datetime.fromtimestamp(-100_000_000, UTC)),
        (None, None),
    ],
)
def test_when_a_command_was_given(ts: object, at: datetime | None) -> None:
    found = command(ts=ts).ts
    assert found == at
    assert found is None or found.tzinfo is UTC


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ('"2026-11-21T20:15:03"', '"ts" needs an offset or Z'),
        ('"2026-11-21"', '"ts" needs an offset or Z'),
        ('"soon"', '"ts" must be ISO 8601 or epoch'),
        ('""', '"ts" must be ISO 8601 or epoch'),
        ('"2026-11-21T25:15:03Z"', '"ts" must be ISO 8601 or epoch'),
        ('"2026-11-21T20:15:03\\ud800"', '"ts" must be ISO 8601 or epoch'),
        ('"0001-01-01T00:00:00+14:00"', '"ts" is out of range'),
        ('"9999-12-31T23:59:59-14:00"', '"ts" is out of range'),
        ('"nan"', '"ts" must be ISO 8601 or epoch'),
        ('"inf"', '"ts" must be ISO 8601 or epoch'),
        ('"1e999"', '"ts" must be ISO 8601 or epoch'),
        ('"1_000"', '"ts" must be ISO 8601 or epoch'),
        ("1e999", '"ts" is out of range'),
        ("1e300", '"ts" is out of range'),
        ("-99999999999", '"ts" is out of range'),  # before the year 1
        ("9" * 400, '"ts" is out of range'),  # more than a float can hold
        ("true", '"ts" must be a time'),
        ("[]", '"ts" must be a time'),
        ("{}", '"ts" must be a time'),
    ],
)
def test_what_is_no_time(written: str, text: str) -> None:
    assert str(refusal(parse_command, f'{{"action":"lock","ts":{written}}}')) == text


AWARE = st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001 - the zone is added below
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


@given(AWARE)
def test_every_zone_and_unit_tells_the_same_moment(at: datetime) -> None:
    assert command(ts=at.isoformat()).ts == at
    whole = at.replace(microsecond=0)
    seconds = int(whole.timestamp())
    assert command(ts=seconds).ts == command(ts=str(seconds)).ts == whole
    if seconds * 1000 >= 1e11:
        assert command(ts=seconds * 1000).ts == whole


# --- How long it holds ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ttl_s", "seconds"), [(None, None), (5, 5.0), (0.001, 0.001), (1e300, 1e300)])
def test_how_long_a_command_holds(ttl_s: object, seconds: float | None) -> None:
    assert command(ttl_s=ttl_s).ttl_s == seconds


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("0", '"ttl_s" must be more than 0'),
        ("-0.0", '"ttl_s" must be more than 0'),
        ("-1", '"ttl_s" must be more than 0'),
        ("1e999", '"ttl_s" must be more than 0'),
        ("9" * 400, '"ttl_s" is out of range'),
        ('"10"', '"ttl_s" must be a number of seconds'),
        ("true", '"ttl_s" must be a number of seconds'),
        ("[]", '"ttl_s" must be a number of seconds'),
    ],
)
def test_what_is_no_time_to_live(written: str, text: str) -> None:
    assert str(refusal(parse_command, f'{{"action":"lock","ttl_s":{written}}}')) == text


# --- `get` and requests -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "order"),
    [
        (b"refresh", GetOrder()),
        (b"1", GetOrder()),
        (b"null", GetOrder()),
        (b"[]", GetOrder()),
        (b"force", GetOrder()),  # no plain word wakes a lock
        (b'"force"', GetOrder()),
        (b"true", GetOrder()),
        (b"{}", GetOrder()),
        (b'{"force":false}', GetOrder()),
        (b'{"force":true}', GetOrder(force=True)),
        (b'{"force":true,"transaction":7}', GetOrder(force=True, transaction=7)),
    ],
)
def test_what_get_asks_for(payload: bytes, order: GetOrder) -> None:
    assert parse_get(payload) == order


@pytest.mark.parametrize("written", ["1", "0", '"true"', "null", "[]"])
def test_only_true_and_false_force(written: str) -> None:
    error = refusal(parse_get, f'{{"force":{written},"transaction":"a1"}}')
    assert (str(error), error.transaction) == ('"force" must be true or false', "a1")


@pytest.mark.parametrize(
    ("payload", "order"),
    [
        (b"refresh", RequestOrder({}, "refresh")),
        (b'"debug"', RequestOrder({}, "debug")),
        (b"7", RequestOrder({}, "7")),
        (b"9" * 4000, RequestOrder({}, "9" * MAX_WORD_CHARS)),
        (b"{}", RequestOrder({})),
        (b'{"level":"debug"}', RequestOrder({"level": "debug"})),
        (b'{"id":1,"transaction":[1]}', RequestOrder({"id": 1, "transaction": [1]}, None, [1])),
    ],
)
def test_what_a_request_says(payload: bytes, order: RequestOrder) -> None:
    assert parse_request(payload) == order


@pytest.mark.parametrize("payload", [b"null", b"true", b"1.5", b"[]"])
def test_what_is_no_request(payload: bytes) -> None:
    assert str(refusal(parse_request, payload)) == "neither a word nor a JSON object"


# --- Anything ---------------------------------------------------------------------------------------------------------

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
KEYS = st.sampled_from(["action", "state", "transaction", "ts", "ttl_s", "force"])
NEARLY = st.dictionaries(
    KEYS,
    ANY_JSON | st.sampled_from(["lock", "2026-11-21T20:15:03Z", "\ud800", 1e11, 10**400, float("inf"), "1e400"]),
)


def check_what_was_read(payload: bytes) -> None:
    """Each reader reads it, so that it can be said again, or refuses it; no other error comes out."""
    for parse in PARSERS:
        try:
            order = parse(payload)
        except BadCommand as error:
            said = CommandResult(transaction=error.transaction, action=error.word, status=Status.REFUSED)
        else:
            transaction = getattr(order, "transaction", None)
            assert is_sayable(transaction)
            said = CommandResult(transaction=transaction, action=None, status=Status.ACCEPTED)
            if isinstance(order, CommandOrder):
                assert order.ts is None or order.ts.utcoffset() == timedelta(0)
                assert order.ttl_s is None or (math.isfinite(order.ttl_s) and order.ttl_s > 0)
                assert order.word != ""
                assert len(order.shown_word) <= MAX_WORD_CHARS
                assert (order.key is None) is (order.transaction is None and order.ts is None)
                said = replace(said, action=order.shown_word)
        json.loads(render_result(said))


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode(errors="surrogatepass")))
@example(b"")
@example(b"[" * 100_000)
@example(b'{"a":' * 1500)
@example(b'{"action":' + b"9" * 5001 + b"}")
@example(b'{"action":"lock","ts":' + b"9" * 4300 + b"}")
@example(b'{"action":"\\ud800","transaction":1}')
@example(b"\xef\xbb\xbf\xef\xbb\xbflock")
@example(b"lock\x00")
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    check_what_was_read(payload)


@given(ANY_JSON | NEARLY)
def test_any_json_is_read_or_refused(value: Any) -> None:
    check_what_was_read(json.dumps(value).encode())


# --- What we say ------------------------------------------------------------------------------------------------------


def test_the_result_of_the_contract() -> None:
    result = CommandResult(
        transaction="a1",
        action="unlock",
        status=Status.CONFIRMED,
        evidence=Evidence.TRANSITION,
        may_have_acted=True,
        state="unlocked",
        duration_s=3.2004,
        age_s=0.19996,
    )
    assert render_result(result) == (
        b'{"transaction":"a1","action":"unlock","status":"confirmed","reason":null,"evidence":"transition",'
        b'"may_have_acted":true,"state":"unlocked","duration_s":3.2,"age_s":0.2}'
    )


def test_a_refusal_of_a_word_that_nobody_knows() -> None:
    result = CommandResult(transaction=None, action="Öffne \ud83d", status=Status.REFUSED, reason=Reason.UNKNOWN_ACTION)
    assert (
        render_result(result)
        == (
            '{"transaction":null,"action":"Öffne ?","status":"refused","reason":"unknown_action","evidence":null,'
            '"may_have_acted":false,"state":null,"duration_s":0.0,"age_s":null}'
        ).encode()
    )


def test_every_word_of_a_result_is_said_as_itself() -> None:
    for status in Status:
        for reason in Reason:
            result = CommandResult(transaction=None, action=None, status=status, reason=reason)
            said = json.loads(render_result(result))
            assert (said["status"], said["reason"]) == (status.value, reason.value)
    for evidence in Evidence:
        result = CommandResult(transaction=None, action=None, status=Status.CONFIRMED, evidence=evidence)
        assert json.loads(render_result(result))["evidence"] == evidence.value


@pytest.mark.parametrize(
    ("data", "error", "transaction", "body"),
    [
        ({"level": "debug"}, None, "a1", b'{"status":"ok","data":{"level":"debug"},"transaction":"a1"}'),
        ({}, None, None, b'{"status":"ok","data":{},"transaction":null}'),
        ({"lost": 1}, "starting", [1], b'{"status":"error","data":{},"error":"starting","transaction":[1]}'),
        ({}, "", 0, b'{"status":"error","data":{},"error":"","transaction":0}'),
    ],
)
def test_the_answer_to_a_request(data: dict[str, Any], error: str | None, transaction: Any, body: bytes) -> None:
    assert render_response(data, error, transaction) == body
