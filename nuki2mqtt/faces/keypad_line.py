"""The command line of `nuki2mqtt keypad`."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from nuki2mqtt.faces.keypad_asked import KeypadAsk
from nuki2mqtt.faces.setup import add_common_options
from nuki2mqtt.model.keypad_order import KeypadOp

DEFAULT_WAIT_S = 180.0
LONGEST_WAIT_S = 86_400.0
_EXAMPLES = """\
examples:
  nuki2mqtt keypad list
  nuki2mqtt keypad add Cleaner --lock front_door --days mon-fri --hours 08:00-12:00
  nuki2mqtt keypad add "Flat 7" --lock house_door --lock flat_7 --until 2026-12-24T10:00
  nuki2mqtt keypad add Plumber --lock front_door --draw --once --life 4h
  nuki2mqtt keypad remove Cleaner --lock front_door
"""
_NEEDS = "Needs a running gateway with `nuki_web.keypad.manage: true`; docs/guide-keypad.md tells all of it."
_ENDS = (
    "Exit status 0: all confirmed; 1: one was refused or failed, or nothing was sent as something was wrong; 3: not "
    "known yet or still under way; 4: nobody answered."
)
_WHEN = "like 2026-12-24T18:00 in the lock's own time, or with an offset or Z"


class _RefuseCode(argparse.Action):
    """A code on the command line: refused without being said again."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        parser.error(
            "--code: a code on the command line stays in the shell's history and is seen by others on this machine; "
            "leave it out to be asked for it, or give --code-file FILE"
        )


class _QuietParser(argparse.ArgumentParser):
    """Says not again what it does not understand: a code may be in it."""

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        """As its parent, but nothing unknown is handed on; ends with status 2."""
        options, unknown = super().parse_known_args(*args, **kwargs)
        if unknown:
            self.error("there are arguments that it does not know; they are not repeated here, since a code may be one")
        return options, unknown


def add_keypad(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", function: Callable[..., int], statuses: str
) -> None:
    """Add the verb with its six words; `function` gets the settings and the options."""
    verb = verbs.add_parser(
        "keypad",
        help="list, add, change and remove keypad codes",
        description=f"List, add, change and remove keypad codes. {_NEEDS}",
        epilog=f"{_EXAMPLES}\n{statuses}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    words = verb.add_subparsers(title="words", metavar="WORD", required=True, parser_class=_QuietParser)

    def add(name: str, op: KeypadOp | None, what: str, more: str, example: str) -> argparse.ArgumentParser:
        word = words.add_parser(
            name,
            help=what,
            description=f"{what[0].upper()}{what[1:]}. {_NEEDS} {more}",
            epilog=f"example:\n  nuki2mqtt keypad {example}\n\n{statuses}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        add_common_options(word, is_verb=True)
        word.set_defaults(function=function, op=op)
        word.add_argument(
            "--lock",
            metavar="DEVICE",
            action="append",
            required=op is not None,
            default=[] if op is None else None,
            help="topic, eight-digit ID or shown name; can be repeated"
            + (" (default: all that have a list)" if op is None else ""),
        )
        word.add_argument("--json", action="store_true", default=False, help="for programs: JSON instead of lines")
        word.add_argument(
            "--show-codes",
            action="store_true",
            default=False,
            help="show the codes where the gateway publishes them (nuki_web.keypad.publish_codes)",
        )
        return word

    add("list", None, "show the keypad codes of locks", "Exit status 0: all lists were read.", "list --lock front_door")
    new = add("add", KeypadOp.CREATE, "make a new code", _ENDS, "add Cleaner --lock front_door --days mon-fri")
    new.add_argument("which", metavar="NAME", nargs="?", help="its name, at most 20 bytes; asked for if it is left out")
    _add_code(new, is_new=True)
    _add_schedule(new)
    new.add_argument("--once", action="store_true", default=False, help="it goes when it was used, or after 24 hours")
    new.add_argument("--life", metavar="TIME", help="it ends so long after the order: 90m, 2h, 3d")
    new.add_argument("--disabled", action="store_true", default=False, help="it does not open yet: see enable")
    change = add(
        "change", KeypadOp.UPDATE, "change a code of ours", _ENDS, "change Cleaner --lock front_door --days sat"
    )
    _add_which(change)
    change.add_argument("--name", metavar="NAME", dest="new_name", help="its new name")
    _add_code(change, is_new=False)
    _add_schedule(change)
    change.add_argument(
        "--always",
        action="store_true",
        default=False,
        help="take away all limits, before those are set that are given here; without it the others stay",
    )
    for name, op, what in (
        ("remove", KeypadOp.DELETE, "delete a code of ours"),
        ("enable", KeypadOp.ENABLE, "let a code of ours open again"),
        ("disable", KeypadOp.DISABLE, "keep a code of ours, which does not open any more"),
    ):
        _add_which(add(name, op, what, _ENDS, f"{name} Cleaner --lock front_door"))
    for word in words.choices.values():
        if word.get_default("op") is not None:
            _add_wait(word)


def _add_which(word: argparse.ArgumentParser) -> None:
    word.add_argument("which", metavar="CODE", help="its name, or its ID as `keypad list` shows it")


def _add_code(word: argparse.ArgumentParser, *, is_new: bool) -> None:
    how = word.add_mutually_exclusive_group()
    how.add_argument(
        "--code-file",
        metavar="FILE",
        help="read the code from this file, - is standard input"
        + (" (default: ask at the terminal)" if is_new else ""),
    )
    if is_new:
        help_text = "the gateway chooses a code for each lock and says it once (publish_codes)"
        how.add_argument("--draw", action="store_true", default=False, help=help_text)
    else:
        how.add_argument("--new-code", action="store_true", default=False, help="ask for a new code at the terminal")
    word.add_argument("--code", action=_RefuseCode, help=argparse.SUPPRESS)


def _add_schedule(word: argparse.ArgumentParser) -> None:
    word.add_argument("--from", metavar="TIME", dest="begins", help=f"not before, {_WHEN}; none: no limit")
    word.add_argument("--until", metavar="TIME", dest="ends", help="not after, in the same way")
    word.add_argument("--days", metavar="DAYS", help="on these days: mon-fri, or sat,sun; all: each day")
    word.add_argument("--hours", metavar="HOURS", help="on each of them only then: 08:00-18:00; none: no limit")


def _add_wait(word: argparse.ArgumentParser) -> None:
    how = word.add_mutually_exclusive_group()
    how.add_argument(
        "--wait",
        metavar="SECONDS",
        type=_seconds,
        default=DEFAULT_WAIT_S,
        help=f"how long to wait for the ends (default: {DEFAULT_WAIT_S:.0f}); the gateway goes on afterwards",
    )
    how.add_argument(
        "--no-wait", action="store_true", default=False, help="end when the gateway has taken them; status 3 then"
    )


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 1 <= number <= LONGEST_WAIT_S:
        raise argparse.ArgumentTypeError(f"that is no time to wait: a number of seconds from 1 to {LONGEST_WAIT_S:.0f}")
    return number


def read_ask(options: argparse.Namespace) -> KeypadAsk:
    """What the options say."""
    said = vars(options)
    locks: Sequence[str] = said.get("lock") or ()
    return KeypadAsk(
        op=said["op"],
        locks=tuple(locks),
        which=said.get("which"),
        new_name=said.get("new_name"),
        code_file=said.get("code_file"),
        asks_code=said.get("new_code", False),
        draws=said.get("draw", False),
        begins=said.get("begins"),
        ends=said.get("ends"),
        days=said.get("days"),
        hours=said.get("hours"),
        is_always=said.get("always", False),
        once=said.get("once", False),
        life=said.get("life"),
        is_disabled=said.get("disabled", False),
        wait_s=None if said.get("no_wait") else said.get("wait"),
        as_json=said["json"],
        show_codes=said["show_codes"],
    )
