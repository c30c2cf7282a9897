"""The part of the topics page that is about commands and `get`; words, numbers and limits come from the code."""

import json
from collections.abc import Iterable

from nuki2mqtt.faces.reference_text import example, table
from nuki2mqtt.gateway import gets
from nuki2mqtt.gateway.admission import LONGEST_TTL_S, OWN_START_S, V311_START_S
from nuki2mqtt.gateway.command_journal import MOST_KEYS, REMEMBERED_S
from nuki2mqtt.gateway.command_lane import JOIN_S
from nuki2mqtt.gateway.commanding import GET
from nuki2mqtt.gateway.commands import READ_AFTER_S, REFUSED_RETRIES_S, REPEAT_WITHIN_S, REPEATS_S
from nuki2mqtt.gateway.forced_reads import COMMAND_READS_PER_DAY
from nuki2mqtt.gateway.publications import MAX_REPLIES
from nuki2mqtt.model.action import Action, actions_of
from nuki2mqtt.model.command import Evidence, Reason, Status
from nuki2mqtt.model.device import DEVICE_TYPES, DeviceKind, kind_of
from nuki2mqtt.model.state import LockState, state_of
from nuki2mqtt.protocol.command_payloads import (
    MAX_COMMAND_BYTES,
    MAX_TRANSACTION_CHARS,
    CommandResult,
    render_result,
)
from nuki2mqtt.protocol.command_words import find_action
from nuki2mqtt.protocol.settings import CommandSettings

_DEFAULTS = CommandSettings()
_OTHER_WORDS = ("open", "unlock", "lock")
_UNKNOWN_TYPE = max(DEVICE_TYPES) + 1
_ORDER = {"action": "unlock", "transaction": "a1", "ts": "2026-11-21T20:15:03Z", "ttl_s": 10}

_STATUSES = {
    Status.ACCEPTED: "taken; exactly one of the next four follows",
    Status.CONFIRMED: "done, and `evidence` says how we know",
    Status.FAILED: "not done; where `may_have_acted` is true (a blocked motor) something moved all the same",
    Status.UNCONFIRMED: "sent, and nothing proved that it was done or that it was not: look at the door",
    Status.EXPIRED: "not sent within its time to live, and never will be",
    Status.REFUSED: "not taken, alone; or, after `accepted` `queued`, replaced before it was sent",
}
_EVIDENCE = {
    Evidence.TRANSITION: "it was seen on its way (unlocking, unlatching) after it was sent",
    Evidence.TARGET: "the state that it was given for was reached, from another one",
    Evidence.ANSWER: "the Bridge said `success`, and a later report agrees",
}
_REASONS = {
    Reason.BAD_PAYLOAD: ("The message is no command that can be read.", "Compare it with the form above."),
    Reason.RETAINED: ("It had the retain flag, so nobody knows how old it is.", "Publish without retain."),
    Reason.UNKNOWN_DEVICE: (
        "No device has this topic or ID, it is set to `ignore`, or it was not seen since the start.",
        "Take a `topic` or `id` of `gateway/devices`.",
    ),
    Reason.UNKNOWN_ACTION: ("A device of this type has no such action.", "Take a word of the tables above."),
    Reason.NOT_PERMITTED: ("The settings do not permit it.", "See `commands.permit` and `devices.<ID>.permit`."),
    Reason.STARTING: ("The gateway has only just connected, or is stopping.", "Give it again in some seconds."),
    Reason.DUPLICATE: (
        "The same command was accepted before; or, without `transaction` and `ts`, equal opening ones come without a pause.",
        "Use a new `transaction` (or `ts`) for a new command; without them, pause for five seconds.",
    ),
    Reason.CLOCK_UNTRUSTED: (
        "The gateway's own clock cannot be trusted, so that the age of an opening command cannot be told.",
        "Synchronise the clock of the gateway's machine (NTP), or set `commands.trust_clock`.",
    ),
    Reason.STALE: (
        "It is older than its time to live, waited that long, or its message expired.",
        "Give it again; if that never helps, compare the clocks and look for what keeps messages back.",
    ),
    Reason.CLOCK_AHEAD: ("Its `ts` lies in the future.", "Set the sender's clock right."),
    Reason.NEEDS_TS: (
        "An opening command without `ts` over MQTT 3.1.1, where nobody can tell how old it is.",
        "Send `ts`, let the gateway use MQTT 5, or set `commands.bare_opening`.",
    ),
    Reason.BUSY: (
        "Another action of this device is under way; at the end: the Bridge had no time for this one. A forced `get`: the budget is spent.",
        "Give it again when the other has ended, or set `commands.overlap: queue`.",
    ),
    Reason.JOINED: ("With `accepted`: an equal command is under way, and its end is this one's, too.", "Nothing."),
    Reason.QUEUED: ("With `accepted`: it waits for the one that is under way.", "Nothing."),
    Reason.SUPERSEDED: (
        "A newer command took its place: `refused` if it was not sent yet, else `unconfirmed`.",
        "Nothing; after `unconfirmed` look at the door.",
    ),
    Reason.BRIDGE_UNREACHABLE: ("The gateway does not reach the Bridge.", "See its `problem` in `gateway/health`."),
    Reason.DEVICE_UNREACHABLE: ("The Bridge does not reach the device.", "Check batteries and distance."),
    Reason.TOKEN_REFUSED: (
        "The Bridge refuses the token, or there is none.",
        "Run `nuki2mqtt check`, then `nuki2mqtt pair`.",
    ),
    Reason.BRIDGE_SAID_NO: ("The Bridge refused it.", "Try the same in the Nuki app, which says why."),
    Reason.MOTOR_BLOCKED: ("The motor is blocked; the bolt may be half way.", "Free it by hand; look at the door."),
    Reason.NO_ANSWER: (
        "The Bridge did not answer. With `failed` a look showed that nothing moved.",
        "After `failed` give it again; after `unconfirmed` look at the door first.",
    ),
    Reason.RESTARTED: (
        "The gateway stopped or was restarted while it was under way; it is not sent again.",
        "Look at the door.",
    ),
}


def _seconds(times: Iterable[float]) -> str:
    *most, last = (f"{time:g}" for time in times)
    return f"{', '.join(most)} and {last} s"


def _form() -> str:
    return f"""\
`set` takes a word, a number, or a JSON object of at most {MAX_COMMAND_BYTES:,} bytes. `<device>` may be the ID as well.

```json
{json.dumps(_ORDER, separators=(",", ":"))}
```

| key | meaning |
| --- | --- |
| `action` | a word or a number of the tables below; `{{"state":"LOCK"}}` is understood instead, both together are not |
| `transaction` | any JSON value of at most {MAX_TRANSACTION_CHARS:,} bytes; every result repeats it |
| `ts` | when it was given: ISO 8601 with offset or Z, or epoch (seconds below 1e11, else milliseconds) |
| `ttl_s` | how long it is good for, instead of `commands.ttl_s` ({_DEFAULTS.ttl_s:g} s); others than opening actions may \
lengthen it, to {LONGEST_TTL_S:g} s |

Words in any case, with or without separators (`lockNGo`, `LOCK_N_GO`, `lock 'n' go`); numbers are those of the Bridge
API. *Opening* actions are never sent twice. What is not in `permitted` of `gateway/devices` is refused.
"""


def _rules() -> str:
    return f"""\
**Retained** commands, `get`s and requests are refused always and cleared from the broker; the log says it once per topic.
With MQTT 5 this holds for live messages that were published with retain, too. An empty message is ignored.

**MQTT 3.1.1** does not show whether a live message was published with retain. If the gateway is connected so (`protocol`
in `gateway/info`), the topic is cleared after every message, commands are refused (`starting`) for {V311_START_S:g} s after the
connection, and opening ones without `ts` always (`needs_ts`), unless `commands.bare_opening` is set. With MQTT 5 `starting`
lasts {OWN_START_S:g} s.

**Stale.** More than the time to live between `ts` and our clock is refused, `stale` or `clock_ahead`. Waiting counts, and so
does a message expiry (MQTT 5). While our clock cannot be trusted (`clock_trusted` in `diagnostics`), opening commands with a
`ts` are refused, the others go by the other rules. `command_clock_skew_s` in `gateway/health` is the `ts` of the last
command minus our clock when it arrived: if it is never near 0, one of the two clocks is wrong.

**Repeated.** A command with the `transaction` of an earlier one for the same device and action (without one: with its `ts`)
is refused, `duplicate`, for {REMEMBERED_S:g} s after that one was accepted. {MOST_KEYS:,} are remembered, opening ones across
a restart. One whose end says `may_have_acted` false is forgotten, and may be given again. An equal command while the Bridge's answer
is outstanding is `joined`, and so is an opening one without `transaction` and `ts` within {JOIN_S:g} s: it gets the same end,
and moves nothing. Where such ones come on and on, each within those seconds of the last, those that come
later than that after the first are a `duplicate` when it has ended, however it ended. A snapshot, result or event of ours that somebody says back to `set` is a `bad_payload`.

**One at a time.** Until the Bridge has answered, a different action for the same device is refused, `busy`; with
`commands.overlap: queue` it waits, and `lock` and the deactivating ones always do. A newer one replaces the one that waits.
After the answer a different action is sent at once, and the former ends `unconfirmed`, `superseded`, or `confirmed` if it was
seen on its way.

**Sent once.** When an opening command may have reached the Bridge, it is not sent again, whatever becomes of the connection:
the gateway looks at `/list`, and after {READ_AFTER_S:g} s wakes the lock to see (at most {COMMAND_READS_PER_DAY} such reads
a day for each device). Other commands are repeated after {_seconds(REPEATS_S)}, within {REPEAT_WITHIN_S:g} s. What surely did
not reach the Bridge is tried again after {_seconds(REFUSED_RETRIES_S)}, within its time to live. Evidence is waited for
`commands.confirm_s` ({_DEFAULTS.confirm_s:g} s) after the Bridge's answer, then the lock is woken once to see. A command that
was seen on its way ends when the motor rests.

**Response topic** (MQTT 5): the same results and answers go there, too, with the correlation data, never retained. It is not
used, and nothing is said of that, where it is below `<base>` or `<prefix>`, has a wildcard or `$`, or ends in `set`, `get`,
`config` or `lockAction`: nothing that the gateway says may be read as an order.

At most {MAX_REPLIES:,} results and answers wait for the broker. They are said however late, and again if the connection broke
before the broker acknowledged them: the same `transaction` and `status` twice is one result.
"""


def _words() -> str:
    tables = []
    for name, device_type in (
        ("lock, Smart Door", _type_of(DeviceKind.SMART_LOCK)),
        ("Opener", _type_of(DeviceKind.OPENER)),
        ("unknown type", _UNKNOWN_TYPE),
    ):
        rows = []
        for action, facts in actions_of(device_type).items():
            others = [word for word in _OTHER_WORDS if word != action and find_action(word, device_type) is action]
            words = ", ".join(f"`{word}`" for word in (action, *others))
            rows.append(
                (words, str(facts.code), "opening" if facts.opens else "", f"`{_derived(device_type, action)}`")
            )
        tables.append(table((name, "number", "opening", "`derived` state"), rows))
    return "\n".join(tables)


def _type_of(kind: DeviceKind) -> int:
    return next(code for code in DEVICE_TYPES if kind_of(code) is kind)


def _derived(device_type: int, action: Action) -> str:
    code = actions_of(device_type)[action].derived
    return "none" if code is None else f"`{state_of(device_type, code)}`"


def _results() -> str:
    said = CommandResult(
        transaction="a1",
        action=Action.UNLOCK,
        status=Status.CONFIRMED,
        evidence=Evidence.TRANSITION,
        may_have_acted=True,
        state=LockState.UNLOCKED,
        duration_s=3.2,
        age_s=0.2,
    )
    reasons = [(f"`{reason}`", *_REASONS[reason]) for reason in Reason]
    return (
        "### Results\n\nOn `<base>/<device>/result`, also for commands by ID; for an unknown `<x>` on `<base>/<x>/result`. "
        "First `accepted`, then exactly one end; or `refused` alone.\n\n"
        + example(render_result(said))
        + "\n`action` is the word of the table whatever was sent, null where none could be read. `state` is what was "
        "seen last, `duration_s` the time since it was taken (s), `age_s` how old its `ts` was then (null without). "
        "`may_have_acted` false: the lock did not move because of it. Each `refused`, `failed` and `expired` is an event "
        "`command_failed`, too, if the device is known.\n\n"
        + table(("`status`", "meaning"), ((f"`{status}`", _STATUSES[status]) for status in Status))
        + "\n"
        + table(("`evidence`", "meaning"), ((f"`{evidence}`", _EVIDENCE[evidence]) for evidence in Evidence))
        + f"\nWhen several reasons hold, the first of this order up to `{Reason.BUSY}` is given, but `{Reason.RETAINED}` "
        "wins always.\n\n" + table(("`reason`", "meaning", "what to do"), reasons)
    )


def _get() -> str:
    ends = ", ".join(f"`{reason}`" for reason in (Reason.BRIDGE_UNREACHABLE, Reason.DEVICE_UNREACHABLE))
    return f"""\
## Get

`get` reads the Bridge's cache (`/list`) at once, whatever it says. `{{"force":true}}` wakes the lock instead, within
`poll.forced_min_s` and `poll.forced_per_day`; it is refused (`{Reason.BUSY}`) where that budget is spent. Results are those
of a command with the action `{GET}`: `{Status.ACCEPTED}`, then `{Status.CONFIRMED}` (seen; the snapshot is said again, changed
or not) or `{Status.FAILED}` ({ends}) within {gets.PATIENCE_S:g} s; or `{Status.REFUSED}`. They are no events.
"""


def render_commands() -> str:
    """The sections about commands and `get`."""
    return f"## Commands\n\n{_form()}\n{_words()}\n{_results()}\n### Rules\n\n{_rules()}\n{_get()}"
