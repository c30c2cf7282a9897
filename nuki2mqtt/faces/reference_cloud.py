"""The part of the topics page that is about Nuki's cloud: who did what, keypad codes, commands, health."""

import json
from datetime import UTC, datetime

from nuki2mqtt.faces.reference_text import example, table
from nuki2mqtt.gateway.cloud_commands import FRESH_S, HOLD_S
from nuki2mqtt.gateway.vouching import GRACE_S
from nuki2mqtt.model.activity import Activity, ActivityAction, Completion, Trigger, Via
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.event import EventType
from nuki2mqtt.model.keypad_order import KeypadOp, KeypadPhase
from nuki2mqtt.model.schedule import DailyWindow, Schedule, Weekday
from nuki2mqtt.protocol.activity_payloads import render_finding
from nuki2mqtt.protocol.keypad_payloads import KeypadEntry, KeypadResult, render_keypad, render_keypad_result

_AT = datetime(2026, 11, 21, 20, 15, 3, tzinfo=UTC)
_TOLD = datetime(2026, 11, 21, 20, 16, 20, tzinfo=UTC)
_ID = "5f0a1b2c3d4e5f6a7b8c9d0e"
_LOCK = NukiId(0x1A2B3C4D)
_HOURS = Schedule(weekdays=frozenset({Weekday.MON, Weekday.TUE}), daily=DailyWindow(480, 720))
_CAME = Activity(
    nuki_id=_LOCK, device_type=5, at=_AT, action_code=1, trigger_code=255, completion_code=0, source_code=1
)
_REFUSED = Activity(
    nuki_id=_LOCK, device_type=5, at=_AT, action_code=1, trigger_code=255, completion_code=224, source_code=1
)

_PHASES = {
    KeypadPhase.CREATE_PENDING: "wanted, kept over restarts, and not yet seen in the cloud's list",
    KeypadPhase.UPDATE_PENDING: "the same for a change; until it is confirmed the code may be as before",
    KeypadPhase.DELETE_PENDING: "the code may still open; a deletion is never given up",
    KeypadPhase.ACTIVE: "the cloud's list shows exactly what is wanted",
    KeypadPhase.DELETED: "a complete list lacks it; in results only",
    KeypadPhase.FAILED: "not done; `reason` says why",
    KeypadPhase.NEEDS_REVIEW: "somebody else changed or deleted it; left alone until an order",
    KeypadPhase.FOREIGN: "not made by this gateway: shown, never touched; in the list only",
    KeypadPhase.REFUSED: "not taken; in results only",
}

_INTRO = """\
## Nuki's cloud

With `nuki_web.token` the gateway follows the locks of an account of Nuki Web, too ([guide](guide-cloud.md)). A lock that a
Bridge knows as well is one device with one topic, and what the Bridge says counts: of the cloud is taken what the Bridge does
not say, and its state is shown (`source` is `web`, `bridge` null) only where no Bridge speaks of the lock. The cloud leads a device whose Bridge is silent if
both agree, or if the cloud was seen to change since. A cloud that contradicts a Bridge is a reason to look once, no more.

What only the cloud says is shown as long as its last read is younger than 2 x `poll_s` + {grace:.0f} s and it reaches the lock; a
lock without a Bridge is `offline` otherwise, and comes back by the next read.

### Who did what

Snapshots of devices of the account have three keys more, null where nobody knows: `last_action`, `trigger`, `actor`.
The log comes about a minute later, so the name comes after the change, as an event `attributed` of its own. Nobody is named rather than somebody else:
in a crowd `trigger` and `actor` stay null, and `last_action` is told only where one action leads to the state. A number
that no document names is null there, and `unknown` in events.

```json
{events}
```

`at` of `attributed` is when it is told, `at_of` when it happened. `code_refused` tells that a keypad refused somebody, never with what.
Both come from the log or a webhook. A door's event of the log goes to `event/late` when it is older than a minute.

| key | words |
| --- | --- |
{words}
"""

_KEYPAD = """\
### Keypad codes

| topic | flags | payload |
| --- | --- | --- |
| `<base>/<device>/keypad` | retained | the list of all codes of the device, below; `[]` without any |
| `<base>/<device>/keypad/set` | to us | an order, below |
| `<base>/<device>/keypad/result` | never retained, QoS 1 | its phases, until an end |

`op` is {ops}. Orders, rules and each `reason`: [keypad codes](guide-keypad.md). They are refused (`not_managed`) without `nuki_web.keypad.manage`.
The digits are never published, unless `nuki_web.keypad.publish_codes` says so: then entries and results have a `code`.

"""

_COMMANDS = """\
### Commands through the cloud

The cloud answers an order with "queued", and may carry it out in seconds, in hours or never. So `nuki_web.commands` says when
a command may go there: `never`; `when_no_bridge` (only locks that no Bridge knows); `fallback` (also where the connection to the
Bridge failed before a byte was written, never after a 503, a timeout, a reset or a no). While a Bridge that may know the lock was not
heard since the start, a command waits. An order goes out only within {fresh:.0f} s after a read that shows the lock online, and
once. An answer of the cloud is no evidence: `transition` and `target` are, read from the cloud. Without them the end is `unconfirmed`, and
for {hold:.0f} s everything that opens this lock is refused, `busy`, over a restart, too. `bridge_said_no` is then the cloud's no, `bridge_unreachable` a cloud that was not reached.
Where the cloud says that somebody else's operation holds the lock (423), what opens ends `failed`, `busy`; what closes is tried again within its time to live.
"""

_HEALTH = [
    ("`reachable`", "whether the cloud answered last; null before the first answer"),
    ("`problem`", "what is wrong with the poll, for people; null if nothing is"),
    ("`requests`, `failures`, `throttled`", "requests, those that failed, answers 429, since the start"),
    ("`forced_syncs`", "how often a lock was woken to show its codes, since the start"),
    ("`scopes_missing`", "scopes that the token was refused (401 or 403), and that are tried again now and then"),
    ("`refused_devices`", "devices that the token may not touch (403)"),
    ("`queue`, `poll_s`", "requests waiting; seconds from poll to poll now"),
    ("`webhooks`", "whether webhooks flow: polls are rare then"),
]


def _events() -> str:
    came = render_finding(EventType.ATTRIBUTED, _CAME, {}, _TOLD)
    named = json.dumps(json.loads(came) | {"actor": "Anna"}, separators=(",", ":"))
    return f"{named}\n{render_finding(EventType.CODE_REFUSED, _REFUSED, {}, _TOLD).decode()}"


def _words() -> str:
    rows = {
        "`last_action`, `action`": ActivityAction,
        "`trigger`": Trigger,
        "`via`": Via,
        "`completion`": Completion,
    }
    return "\n".join(f"| {name} | {', '.join(f'`{word}`' for word in words)} |" for name, words in rows.items())


def _keypad() -> str:
    entry = KeypadEntry(
        id=_ID, name="Cleaner", enabled=True, schedule=_HOURS, phase=KeypadPhase.ACTIVE, uses=3, last_used=_AT
    )
    result = KeypadResult(transaction="c1", op=KeypadOp.CREATE, phase=KeypadPhase.ACTIVE, id=_ID, name="Cleaner")
    ops = ", ".join(f"`{op}`" for op in KeypadOp)
    return (
        _KEYPAD.format(ops=ops)
        + example(render_keypad([entry], publish_codes=False))
        + "\n"
        + example(render_keypad_result(result, publish_codes=False))
        + "\n"
        + table(("`phase`", "meaning"), ((f"`{phase}`", _PHASES[phase]) for phase in KeypadPhase))
    )


def render_cloud() -> str:
    """The section about the cloud."""
    return "\n".join(
        (
            _INTRO.format(grace=GRACE_S, events=_events(), words=_words()),
            _keypad(),
            _COMMANDS.format(fresh=FRESH_S, hold=HOLD_S),
            "### Health of the cloud\n\n`cloud` in `gateway/health`, null without a token:\n\n"
            + table(("key", "meaning"), _HEALTH),
        )
    )
