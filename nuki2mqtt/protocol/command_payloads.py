"""What stands in messages to us on `set`, `get` and `gateway/request/...`, and in what we answer them.

The contract is docs/topics.md, "Commands". Readers raise `BadCommand`; nothing that arrives makes them raise
anything else.
"""

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nuki2mqtt.errors import Nuki2mqttError
from nuki2mqtt.model.command import Evidence, Reason, Status
from nuki2mqtt.protocol.payloads import render_json

MAX_COMMAND_BYTES = 8192
MAX_TRANSACTION_CHARS = 1024
MAX_WORD_CHARS = 64
# A result, a snapshot, an event of ours: what says everything back must not be obeyed.
_OUR_KEYS = (frozenset({"status", "may_have_acted"}), frozenset({"id", "state_code"}), frozenset({"event_type", "at"}))
# topics.md: "seconds below 1e11, else milliseconds"
_FIRST_MILLISECONDS = 1e11
_MAX_DEPTH = 16
_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{0,20})?")


class BadCommand(Nuki2mqttError):  # noqa: N818 - reads as what it is
    """A payload that is no command; `transaction` (JSON value, None without) and `word` as far as readable."""

    def __init__(self, text: str, transaction: Any = None, word: str | None = None) -> None:
        self.transaction = transaction
        self.word = word
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class CommandOrder:
    """What `set` asks for: `word` is a word or a number, `ts` when it was given (aware UTC), `ttl_s` how long it holds.

    `transaction` is any JSON value, None without; `key` is its text, for comparing.
    """

    word: str | int
    transaction: Any = None
    ts: datetime | None = None
    ttl_s: float | None = None

    @property
    def shown_word(self) -> str:
        """What stands as `action` in a result while the action is not known."""
        return str(self.word)[:MAX_WORD_CHARS]

    @property
    def key(self) -> str | None:
        """What makes this command the same as another; a `ts` without a transaction counts as one."""
        if self.transaction is not None:
            return transaction_key(self.transaction)
        return None if self.ts is None else f"ts {self.ts.timestamp():.6f}"


@dataclass(frozen=True, slots=True)
class GetOrder:
    """What `get` asks for; `force` wakes the lock."""

    force: bool = False
    transaction: Any = None


@dataclass(frozen=True, slots=True)
class RequestOrder:
    """What a message on `gateway/request/<verb>` says: `values` of a JSON object, or `word` of a plain one."""

    values: dict[str, Any]
    word: str | None = None
    transaction: Any = None


def transaction_key(transaction: Any) -> str:
    """A transaction as text; equal values give equal texts."""
    return json.dumps(transaction, sort_keys=True, separators=(",", ":"))


def parse_command(payload: bytes) -> CommandOrder:
    """Read the payload of `set`; raises BadCommand."""
    value = _load(payload)
    if isinstance(value, str | int) and not isinstance(value, bool):
        return CommandOrder(_word(value, None))
    if not isinstance(value, dict):
        raise BadCommand("neither a word, a number nor a JSON object")
    transaction = _transaction(value)
    if any(keys <= value.keys() for keys in _OUR_KEYS):
        raise BadCommand("something that a gateway has said, and no command", transaction)
    if ("action" in value) == ("state" in value):
        raise BadCommand('exactly one of "action" and "state" is needed', transaction)
    word = _word(value.get("action", value.get("state")), transaction)
    shown = str(word)
    try:
        return CommandOrder(word, transaction, _ts(value.get("ts")), _ttl(value.get("ttl_s")))
    except BadCommand as error:
        raise BadCommand(str(error), transaction, shown) from None


def parse_get(payload: bytes) -> GetOrder:
    """Read the payload of `get`: a JSON object, or any word, which asks for no more; raises BadCommand."""
    value = _load(payload)
    if not isinstance(value, dict):
        return GetOrder()
    transaction = _transaction(value)
    force = value.get("force", False)
    if not isinstance(force, bool):
        raise BadCommand('"force" must be true or false', transaction)
    return GetOrder(force, transaction)


def parse_request(payload: bytes) -> RequestOrder:
    """Read the payload of a request: a JSON object, or a plain word; raises BadCommand."""
    value = _load(payload)
    if isinstance(value, dict):
        return RequestOrder(value, None, _transaction(value))
    if isinstance(value, str | int) and not isinstance(value, bool):
        return RequestOrder({}, str(value)[:MAX_WORD_CHARS])
    raise BadCommand("neither a word nor a JSON object")


def _load(payload: bytes) -> Any:
    if len(payload) > MAX_COMMAND_BYTES:
        raise BadCommand(f"longer than {MAX_COMMAND_BYTES} bytes")
    try:
        text = payload.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise BadCommand("not UTF-8") from None
    if not text:
        raise BadCommand("only blanks")
    try:
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        if text[0] in '{["' or len(text) > MAX_WORD_CHARS:
            raise BadCommand("not JSON") from None
        return text
    if _is_deeper_than(value, _MAX_DEPTH):
        raise BadCommand("nested too deep")
    return value


def _no_constant(name: str) -> Any:
    raise BadCommand(f"{name} is no JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):  # which of two actions is meant, nobody knows
        raise BadCommand("a key stands twice")
    return value


def _is_deeper_than(value: Any, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return depth == 0 or any(_is_deeper_than(item, depth - 1) for item in inner)


def _word(value: Any, transaction: Any) -> str | int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 1000 else str(value)[:MAX_WORD_CHARS]
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_WORD_CHARS:
        raise BadCommand("the action must be a word or a number", transaction)
    text = value.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 3 else text


def _transaction(value: dict[str, Any]) -> Any:
    transaction = value.get("transaction")
    try:
        # Half a surrogate pair or an infinity could not be said again.
        size = len(json.dumps(transaction, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, RecursionError):
        raise BadCommand('"transaction" cannot be repeated') from None
    if size > MAX_TRANSACTION_CHARS:
        raise BadCommand('"transaction" is too long')
    return transaction


def _ts(value: Any) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        return _epoch(float(text)) if _NUMBER.fullmatch(text) else _iso(text)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _epoch(value)
    raise BadCommand('"ts" must be a time')


def _iso(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadCommand('"ts" must be ISO 8601 or epoch') from None
    if at.tzinfo is None:
        raise BadCommand('"ts" needs an offset or Z')
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise BadCommand('"ts" is out of range') from None


def _epoch(number: float) -> datetime:
    try:
        seconds = float(number)
        return datetime.fromtimestamp(seconds if abs(seconds) < _FIRST_MILLISECONDS else seconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise BadCommand('"ts" is out of range') from None


def _ttl(value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise BadCommand('"ttl_s" must be a number of seconds')
    try:
        seconds = float(value)
    except OverflowError:
        raise BadCommand('"ttl_s" is out of range') from None
    if not math.isfinite(seconds) or seconds <= 0:
        raise BadCommand('"ttl_s" must be more than 0')
    return seconds


# --- What we say -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """One step in the life of a command. `state` is the word that was last seen; durations are seconds."""

    transaction: Any
    action: str | None
    status: Status
    reason: Reason | None = None
    evidence: Evidence | None = None
    may_have_acted: bool = False
    state: str | None = None
    duration_s: float = 0.0
    age_s: float | None = None


def render_result(result: CommandResult) -> bytes:
    """A result as JSON."""
    return render_json(
        {
            "transaction": result.transaction,
            "action": result.action,
            "status": result.status,
            "reason": result.reason,
            "evidence": result.evidence,
            "may_have_acted": result.may_have_acted,
            "state": result.state,
            "duration_s": round(result.duration_s, 3),
            "age_s": None if result.age_s is None else round(result.age_s, 3),
        }
    )


def render_response(data: dict[str, Any], error: str | None, transaction: Any) -> bytes:
    """The answer to a request; `data` is empty where there is an error."""
    body: dict[str, Any] = {"status": "ok" if error is None else "error", "data": data if error is None else {}}
    if error is not None:
        body["error"] = error
    return render_json(body | {"transaction": transaction})
