"""A keypad code from a person, by ways that leave it in no shell history and on no screen."""

import getpass
import os
import sys
from pathlib import Path

from nuki2mqtt.errors import Nuki2mqttError
from nuki2mqtt.faces.keypad_words import harmless
from nuki2mqtt.faces.terminal import say
from nuki2mqtt.model.secret import Secret

_MOST_BYTES = 256
_PROMPT = "Code (six digits, 1 to 9, not beginning with 12): "


class NotAsked(Nuki2mqttError):  # noqa: N818 - reads as what it is
    """What is asked for cannot be: `objections` say why, without any code. Nothing was sent."""

    def __init__(self, *objections: str) -> None:
        self.objections = objections
        super().__init__("; ".join(objections))


def is_person_there() -> bool:
    """Whether somebody can be asked: standard input is a terminal."""
    return sys.stdin is not None and sys.stdin.isatty()


def ask_name() -> str:
    """Ask for a code's name at the terminal; raises NotAsked."""
    if not is_person_there():
        raise NotAsked("a code needs a name: give NAME, since there is no terminal to ask for it")
    say("Name of the code (at most 20 bytes):", is_trouble=True)
    return sys.stdin.readline().strip()


def ask_code() -> Secret:
    """Ask twice for a code at the terminal, without an echo; raises NotAsked."""
    if not is_person_there():
        text = "give the code by --code-file FILE, or by --code-file - from standard input: there is no terminal to ask"
        raise NotAsked(text)
    try:
        code = getpass.getpass(_PROMPT).strip()
        if code != getpass.getpass("The same again: ").strip():
            raise NotAsked("the two are not the same")
    except EOFError:
        raise NotAsked("no code was given") from None
    return Secret(code)


def read_code_file(name: str) -> Secret:
    """The code that stands in a file, `-` is standard input; raises NotAsked."""
    if name == "-" and is_person_there():
        return ask_code()
    try:
        if name == "-":
            source = os.dup(sys.stdin.fileno()) if sys.stdin is not None else -1
            with open(source, "rb") as file:  # noqa: PTH123 - a descriptor
                body = file.read(_MOST_BYTES)
        else:
            with Path(name).open("rb") as file:
                body = file.read(_MOST_BYTES)
        text = body.decode().strip()
    except UnicodeDecodeError:
        text = ""
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it cannot be opened"
        # A person may have written the code itself here.
        raise NotAsked(f"--code-file {harmless(name)}: {why}") from None
    if not text:
        raise NotAsked(f"--code-file {harmless(name)}: there is no code in it")
    return Secret(text)
