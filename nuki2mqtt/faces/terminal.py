"""What is printed: foreign text made harmless, on terminals of any encoding, also when nobody reads on."""

import os
import sys

MAX_TEXT = 300


def printable(text: str, limit: int = MAX_TEXT) -> str:
    """What may be shown in a terminal: in one line, without control characters, no longer than `limit`."""
    return "".join(char if char.isprintable() else "?" for char in text[:limit])


def say(text: str, *, is_trouble: bool = False) -> None:
    """Print a line, trouble to standard error; never raises for what the terminal cannot show or does not take."""
    stream = sys.stderr if is_trouble else sys.stdout
    encoding = stream.encoding or "ascii"
    try:
        print(text.encode(encoding, errors="replace").decode(encoding), file=stream, flush=True)
    except BrokenPipeError:
        # `nuki2mqtt status | head`: the interpreter must not find that out again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
