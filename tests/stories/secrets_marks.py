"""Secrets that are marked, and the search for them in whatever came out: plain or in any of their forms."""

import base64
import hashlib
import html
import re
import traceback
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

_BYTES = re.compile(r"(?:\\x[89a-fA-F][0-9a-fA-F])+")  # as Python writes what is not ASCII
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([\"'\\/]))")


def _spelled_out(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    return chr(int(code, 16)) if code else match[3]


def views(text: str) -> set[str]:
    """What a reader can make of a text: as it is, without percent signs, backslashes, entities, in two rounds."""
    found = {text}
    for _ in range(2):
        found |= {change(each) for each in found for change in (unquote, _unescaped, html.unescape)}
    return {each.casefold() for each in found}


def _unescaped(text: str) -> str:
    text = _BYTES.sub(lambda run: bytes.fromhex(run[0].replace("\\x", "")).decode(errors="replace"), text)
    return _ESCAPE.sub(_spelled_out, text)


def forms(secret: str) -> dict[str, str]:
    """What is looked for, by name; upper and lower case count as one."""
    raw = secret.encode()
    found = {
        "plain": secret,
        "hex": raw.hex(),
        "sha256": hashlib.sha256(raw).hexdigest(),
        "base64 of sha256": base64.b64encode(hashlib.sha256(raw).digest()).decode()[:42],
    }
    for offset in range(3):  # it may stand anywhere in what was encoded
        coded = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        found[f"base64 from {offset}"] = coded[4 if offset else 0 : -2]
        found[f"base64url from {offset}"] = found[f"base64 from {offset}"].replace("+", "-").replace("/", "_")
    return {name: form.casefold() for name, form in found.items()}


def leaks(marks: Mapping[str, str], outputs: Iterable[tuple[str, str | bytes]]) -> list[str]:
    """Which secret shows where, and in which form; outputs are pairs of a place and what came out there."""
    wanted = {(name, form): text for name, secret in marks.items() for form, text in forms(secret).items()}
    seen: dict[str, str] = {}
    for where, said in outputs:
        seen.setdefault(said.decode(errors="backslashreplace") if isinstance(said, bytes) else said, where)
    # All at once first: nearly always nothing is found.
    if not _found(wanted, "\n".join(seen)):
        return []
    found = [
        f"{name} ({form}) in {where}: {text:.300}"
        for text, where in seen.items()
        for name, form in _found(wanted, text)
    ]
    return found or ["a mark in what several outputs say together"]


def _found(wanted: Mapping[tuple[str, str], str], text: str) -> list[tuple[str, str]]:
    shown = views(text)
    return [what for what, needle in wanted.items() if any(needle in view for view in shown)]


def told_by(error: BaseException) -> list[tuple[str, str]]:
    """What an exception tells wherever it is printed: itself, its attributes, and what it says it comes from."""
    found: list[tuple[str, str]] = [("trace", "".join(_without_lines(error)))]
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None:
            found += [(type(one).__name__, f"{one} {one!r} {getattr(one, '__notes__', '')}")]
            waiting += [one.__cause__, None if one.__suppress_context__ else one.__context__]
    return found


def _without_lines(error: BaseException) -> list[str]:
    """The trace without lines of source, which hold the marks of the tests themselves."""
    shown = traceback.TracebackException.from_exception(error, lookup_lines=False)
    waiting: list[traceback.TracebackException | None] = [shown]
    while waiting:
        one = waiting.pop()
        if one is not None:
            one.stack.clear()
            waiting += [one.__cause__, one.__context__]
    return list(shown.format())
