"""What is printed: foreign text made harmless, on terminals of any encoding, also when nothing can be written."""

import os
import sys
from typing import TextIO

MAX_TEXT = 300


def printable(text: str, limit: int = MAX_TEXT) -> str:
    """What may be shown in a terminal: in one line, without control characters, no longer than `limit`."""
    return "".join(char if char.isprintable() else "?" for char in text[:limit])


def say(text: str, *, is_trouble: bool = False) -> bool:
    """Print a line, trouble to standard error; never raises for what the terminal cannot show or does not take.

    False if nobody takes it. A stream that was closed from the start (`>&-`) was not meant to be read: True.
    """
    stream = sys.stderr if is_trouble else sys.stdout
    if stream is None:
        return True
    try:
        encoding = stream.encoding or "ascii"
        print(text.encode(encoding, errors="replace").decode(encoding), file=stream, flush=True)
    except (OSError, ValueError):  # nobody reads on, the disk is full, the terminal is gone; or it was closed
        _give_up(stream)
        return False
    return True


def settle_output() -> None:
    """Before the process ends: what cannot be written must not make the interpreter end it with a status of its own."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError):
            _give_up(stream)


def _give_up(stream: TextIO) -> None:
    """Lead it nowhere: what is left in its buffer, and all that comes."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
    except (OSError, ValueError):  # it has no descriptor, or there is no free one
        if stream is sys.stdout:
            sys.stdout = None
        if stream is sys.stderr:
            sys.stderr = None
