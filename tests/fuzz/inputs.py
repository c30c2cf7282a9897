"""Where inputs come from: the committed corpus, the recordings beside the checkout, and what breaks them.

`NUKI2MQTT_FUZZ_EXAMPLES` is how many inputs each hypothesis test tries; the default keeps the whole folder within a
minute. A long run:

    NUKI2MQTT_FUZZ_EXAMPLES=100000 python -m pytest tests/fuzz -k bytes --timeout 0
"""

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

CORPUS = Path(__file__).parent / "corpus"
RECORDED = Path(__file__).parents[2].parent / "shared" / "recorded"
EXAMPLES = int(os.environ.get("NUKI2MQTT_FUZZ_EXAMPLES", "0"))
MOST_BYTES = 64 * 1024

# Words in the recordings' names by target; their bodies are the seeds that are mutated.
RECORDED_FOR = {
    "callback": "callback/*",
    "list": "bridge/*list-*",
    "info": "bridge/*-info*",
    "lock_state": "bridge/*lockstate*",
    "lock_action": "bridge/*lockaction*",
    "callback_list": "bridge/*callback-list*",
    "callback_add": "bridge/*callback-add*",
    "log": "bridge/*-log-*",
    "auth": "bridge/*-auth*",
    "config_auth": "bridge/*configauth*",
    "refusal": "bridge/*error*",
    "retained": "mqtt/*",
    "command": "mqtt/*",
    "web_devices": "web/*smartlock-*",
    "web_device": "web/*smartlock-*",
    "web_log": "web/*log-*",
    "web_refusal": "web/*error*",
    "webhook": "webhook/*",
}


def budget(examples: int) -> hypothesis_settings:
    """The settings of one hypothesis test: so many examples, or as many as the environment says."""
    return hypothesis_settings(
        max_examples=EXAMPLES or examples,
        deadline=None,  # `targets.run` bounds the time of the processor, which another process cannot use up
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )


@cache
def corpus(target: str) -> tuple[Path, ...]:
    """The committed inputs of one target."""
    return tuple(sorted(path for path in (CORPUS / target).glob("*") if path.is_file()))


@cache
def seeds(target: str) -> tuple[bytes, ...]:
    """What is mutated: the corpus, and where they are beside the checkout the recordings."""
    paths = [*corpus(target), *sorted(RECORDED.glob(RECORDED_FOR.get(target, "none/*")))]
    return tuple(path.read_bytes() for path in paths) or (b"{}",)


# --- What breaks readers ---------------------------------------------------------------------------------------------

NASTY: tuple[bytes, ...] = (
    b"",
    b" ",
    b"\0",
    b"\xef\xbb\xbf{}",
    '{"nukiId":1,"state":1}'.encode("utf-16"),
    b"\xff\xfe",
    b'"',
    b"'",
    b"\x1c5",
    b"null",
    b"NaN",
    b"-Infinity",
    b"1e400",
    b"-1e400",
    b"1" * 5000,
    b"-" + b"9" * 4300,
    b"0." + b"1" * 5000,
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b"[" * 5000,
    b'{"a":' * 5000,
    b"[" * 500 + b"]" * 500,
    b'{"a":1,"a":2}',
    b'{"nukiId":1,"nukiId":2,"state":1}',
    b"&a [*a, *a]",
    b"%YAML 9\n---\n",
    b"? |\n",
    b"x" * MOST_BYTES,
    b"\xc3" * MOST_BYTES,
    b"[" + b"{}," * 20000 + b"{}]",
)
# In the place of any value of a JSON body, as its raw text.
VALUES: tuple[str, ...] = (
    "null",
    "true",
    '"true"',
    "0",
    "-1",
    "1",
    "255",
    "4294967295",
    "4294967296",
    "18446744073709551616",
    "1" * 25,
    "7" * 4299,
    "8" * 5000,
    "3.0",
    "2.5",
    "1e3",
    "1e400",
    "-1e400",
    "1e-400",
    "NaN",
    "Infinity",
    '""',
    '" 5 "',
    '"\\u001c1"',
    '"\\u001f2\\u001d"',
    '"\\u00a05"',
    '"\\u20035"',
    '"\\u0661"',
    '"+7"',
    '"--7"',
    '"1_0"',
    '"0x10"',
    '"\\ud800"',
    '"\\u0000"',
    '"a\\u2028b"',
    '"' + "x" * 4000 + '"',
    '"2026-11-22T12:00:00Z"',
    '"0001-01-01T00:00:00+23:59"',
    '"9999-12-31T23:59:59-23:59"',
    '"2026-02-30T12:00:00Z"',
    '"2026-11-22T24:00:00Z"',
    '"2026-11-22T12:00:00+99:99"',
    '"2026-W47-7T12:00:00+00:00"',
    '"20261122T120000Z"',
    '"99999999999999999999"',
    '"1a2b3c4d"',
    '"http://[::1"',
    '"http://me:pw@192.0.2.20:99999/a?b#c"',
    "[]",
    "[[]]",
    "{}",
    '{"":{}}',
    '[null,1,"a",{}]',
    "[" * 200 + "]" * 200,
    "[" * 3000 + "]" * 3000,
)
_MARK = "\ue000"


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in items for place in _places(inner, (*path, key)))]


def _changed(value: Any, path: tuple[Any, ...], how: str) -> Any:
    """A copy with one place deleted, marked for a raw text, or its key misspelled."""
    if not path:
        return _MARK
    key, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    if rest:
        copy[key] = _changed(value[key], tuple(rest), how)
    elif how == "delete":
        del copy[key]
    elif how == "rename" and isinstance(copy, dict):
        copy[f"{key}\u00e9"] = copy.pop(key)
    else:
        copy[key] = _MARK
    return copy


def swept(seed: bytes) -> Iterator[bytes]:
    """A JSON body with every value of `VALUES` at every place, one at a time, and each place deleted once."""
    try:
        value = json.loads(seed.decode("utf-8-sig"), strict=False)
    except (ValueError, RecursionError):
        return
    for path in _places(value):
        text = json.dumps(_changed(value, path, "replace"))
        yield from (text.replace(json.dumps(_MARK), raw).encode() for raw in VALUES)
        if path:
            yield json.dumps(_changed(value, path, "delete")).encode()


@st.composite
def _restructured(draw: st.DrawFn, seed: bytes) -> bytes:
    """A JSON body with up to four places changed: deleted, renamed, of another type, or a value out of the way."""
    try:
        value = json.loads(seed.decode("utf-8-sig"), strict=False)
    except ValueError:
        return seed
    text = json.dumps(value)
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(_places(value)))
        how = draw(st.sampled_from(["delete", "rename", "replace", "replace", "replace"]))
        value = _changed(value, path, how)
        text = json.dumps(value).replace(json.dumps(_MARK), draw(st.sampled_from(VALUES)))
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            break  # it cannot be taken apart any more
    return text.encode()


@st.composite
def _cut_and_spliced(draw: st.DrawFn, seed: bytes, other: bytes) -> bytes:
    """Bytes taken away, doubled, swapped for others, or of two bodies."""
    body = bytearray(seed)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body)))
        to = min(len(body), at + draw(st.integers(0, 40)))
        match draw(st.sampled_from(["truncate", "delete", "double", "insert", "splice"])):
            case "truncate":
                del body[at:]
            case "delete":
                del body[at:to]
            case "double":
                body[at:at] = body[at:to]
            case "insert":
                body[at:at] = draw(st.one_of(st.binary(max_size=8), st.sampled_from(NASTY[:16])))
            case _:
                body[at:] = other[draw(st.integers(0, len(other))) :]
    return bytes(body[:MOST_BYTES])


def bodies(target: str) -> st.SearchStrategy[bytes]:
    """Everything that a target may be given."""
    known = st.sampled_from(seeds(target))
    return st.one_of(
        known.flatmap(_restructured),
        known.flatmap(_restructured),
        st.tuples(known, known).flatmap(lambda two: _cut_and_spliced(*two)),
        known,
        st.sampled_from(NASTY),
        st.binary(max_size=200),
        st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.sampled_from(VALUES).map(str.encode),
    )
