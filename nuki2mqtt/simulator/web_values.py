"""How the cloud writes numbers, times and refusals, and how it reads a request. Pure.

Sources: reference of the Web API, sections 1.2 (errors) and 5 (IDs, dates); the refusals are recorded ones.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from http import HTTPStatus
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

NOT_AUTHORIZED = "Your access token is not authorized"
INT32 = 2**31 - 1
_DATE = re.compile(  # section 5: without milliseconds and even without seconds also accepted
    r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)"
)
_REASONS = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Temporarily Unavailable"}


class CloudRefusalError(Exception):
    """The request ends with an HTTP status; `detail` None is a body that does not say why."""

    def __init__(self, status: int, detail: str | None = None) -> None:
        self.status = status
        self.detail = detail
        super().__init__(f"{status} {detail}")


def not_valid(parameter: str, value: object) -> CloudRefusalError:
    """The 400 for a parameter's value, in the words of recorded ones; `null` is one that is missing."""
    shown = json.dumps(value) if value is None or isinstance(value, bool) else value
    return CloudRefusalError(400, f"The supplied value '{shown}' for parameter '{parameter}' is not valid")


def write(value: Json) -> bytes:
    """JSON without spaces, as recorded."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def refusal_body(detail: str | None) -> bytes:
    """The body of a refusal; at a 423 it does not say why (section 1.2)."""
    says: dict[str, Json] = {} if detail is None else {"detailMessage": detail}
    return write({**says, "stackTrace": [], "suppressedExceptions": []})


def proxy_page(status: int) -> bytes:
    """The page of the proxy before the API, as recorded for 502."""
    title = f"{status} {_REASONS.get(status) or HTTPStatus(status).phrase}"
    lines = (
        "<html>",
        f"<head><title>{title}</title></head>",
        "<body>",
        f"<center><h1>{title}</h1></center>",
        "<hr><center>nginx</center>",
        "</body>",
        "</html>",
    )
    return "".join(f"{line}\r\n" for line in lines).encode()


def web_id(device_type: int, nuki_id: int) -> int:
    """The smartlockId: the type above the 32 bits of the Nuki ID (section 5)."""
    return device_type << 32 | nuki_id


@lru_cache(maxsize=5000)
def iso_ms(at: float) -> str:
    """A time as the cloud writes it, from epoch seconds: UTC with milliseconds."""
    return datetime.fromtimestamp(round(at, 3), UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def read_date(parameter: str, value: object) -> float | None:
    """Epoch seconds of an RFC 3339 text; None stays None; raises CloudRefusalError, also for Unix seconds."""
    if value is None:
        return None
    if not isinstance(value, str) or _DATE.fullmatch(value) is None:
        raise not_valid(parameter, value)
    try:
        return datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError):
        raise not_valid(parameter, value) from None


def packed_firmware(text: str | None) -> int:
    """The firmware in one number, 0xMMmmpp: 3.10.7 is 199175 (section 3.1)."""
    major, minor, patch = (int(part) for part in [*(text or "0").split("."), "0", "0"][:3])
    return major << 16 | minor << 8 | patch


class Ids:
    """Ids of 24 hex digits: the time, then what depends on the seed and how many there were before."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._made = 0

    def make(self, now: float) -> str:
        """The next one."""
        self._made += 1
        return f"{int(now) & 0xFFFFFFFF:08x}{sha256(f'{self._seed}/id/{self._made}'.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class CloudAsked:
    """One request that was let in: the values in its path, its query, its body as it came."""

    places: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)

    def number(self, parameter: str) -> int | None:
        """A whole number of the query; raises CloudRefusalError."""
        text = self.query.get(parameter)
        if text is None:
            return None
        if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) is None:
            raise not_valid(parameter, text)
        return int(text)

    def numbers(self, parameter: str) -> frozenset[int] | None:
        """Whole numbers with commas between them; raises CloudRefusalError."""
        text = self.query.get(parameter)
        if not text:
            return None
        if re.fullmatch(r"\d{1,9}(,\d{1,9})*", text, re.ASCII) is None:
            raise not_valid(parameter, text)
        return frozenset(map(int, text.split(",")))

    def members(self) -> "Members":
        """The JSON object of the body; raises CloudRefusalError."""
        value = self._json()
        if not isinstance(value, dict):
            raise not_valid("body", None)
        return Members(value)

    def items(self) -> list[object]:
        """The JSON array of the body; raises CloudRefusalError."""
        value = self._json()
        if not isinstance(value, list):
            raise not_valid("body", None)
        return value

    def _json(self) -> object:
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):  # what the real one says is not known
            raise not_valid("body", None) from None


class Members:
    """The members of a JSON object; a member that is null counts as left out. Unknown ones are passed over."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self.values = values

    def has(self, parameter: str) -> bool:
        """Whether it was given at all, also as null."""
        return parameter in self.values

    def number(self, parameter: str, *, most: int = INT32, least: int = 0) -> int | None:
        """A whole number; digits in a string count (section 3.5); raises CloudRefusalError."""
        value = self.values.get(parameter)
        if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value, re.ASCII):
            value = int(value)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise not_valid(parameter, value)
        return value

    def switch(self, parameter: str) -> bool | None:
        """True or false; raises CloudRefusalError."""
        value = self.values.get(parameter)
        if value is not None and not isinstance(value, bool):
            raise not_valid(parameter, value)
        return value

    def text(self, parameter: str) -> str | None:
        """A text; raises CloudRefusalError."""
        value = self.values.get(parameter)
        if value is not None and not isinstance(value, str):
            raise not_valid(parameter, value)
        return value

    def date(self, parameter: str) -> float | None:
        """Epoch seconds; raises CloudRefusalError."""
        return read_date(parameter, self.values.get(parameter))
