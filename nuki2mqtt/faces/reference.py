"""The reference page of MQTT topics and payloads, written from the code.

`python -m nuki2mqtt.faces.reference > docs/topics.md`; a test fails when page and code differ.
"""

import sys
from datetime import UTC, datetime

from nuki2mqtt.faces.reference_cloud import render_cloud
from nuki2mqtt.faces.reference_commands import render_commands
from nuki2mqtt.faces.reference_requests import render_requests
from nuki2mqtt.faces.reference_text import example, table
from nuki2mqtt.gateway import publications, vouching
from nuki2mqtt.gateway.broker_session import LONGEST_READ_S, QUIET_S
from nuki2mqtt.gateway.callback_watch import PATIENCE_S, TOO_MANY
from nuki2mqtt.gateway.departures import GONE_AFTER_S, LISTS
from nuki2mqtt.gateway.devices import STUCK_AFTER_S
from nuki2mqtt.gateway.gateway import BORN_MIN_S, BORN_SPAN_S
from nuki2mqtt.gateway.ownership import LIVE_S
from nuki2mqtt.gateway.projection import QUIET_CHANGE_S
from nuki2mqtt.gateway.rings import LATE_S
from nuki2mqtt.gateway.telling import HEALTH_S
from nuki2mqtt.model.action import Action, actions_of
from nuki2mqtt.model.bridge import BridgeView
from nuki2mqtt.model.command import Reason
from nuki2mqtt.model.device import DeviceKind, Feature, NukiId, kind_of
from nuki2mqtt.model.event import BatteryPart, CommandFailure, DeviceEvent, EventType, RingTime, StateChange
from nuki2mqtt.model.state import (
    Battery,
    LockState,
    Snapshot,
    Source,
    door_of,
    lock_word_of,
    mode_of,
    state_of,
)
from nuki2mqtt.protocol import homeassistant
from nuki2mqtt.protocol.payloads import SlotView, render_bridge, render_event, render_snapshot
from nuki2mqtt.protocol.topics import MAX_SLUG, TopicTree

_CODES = range(256)
_TREE = TopicTree("<base>", "<prefix>")
_LOCK, _BRIDGE = NukiId(0x1A2B3C4D), NukiId(0x0A1B2C3D)
_SEEN = datetime(2026, 11, 21, 20, 15, 3, tzinfo=UTC)
_CHANGED = datetime(2026, 11, 21, 19, 58, 40, tzinfo=UTC)
_TYPES = {0: "Smart Lock 1, 2", 1: "Box", 2: "Opener", 3: "Smart Door", 4: "Smart Lock 3, 4", 5: "Smart Lock 5"}

_INTRO = """\
# MQTT topics and payloads

<!-- Written by `python -m nuki2mqtt.faces.reference > docs/topics.md`; do not edit. -->

This is what you build on. `<base>` is `mqtt.base_topic` (`nuki2mqtt`), `<prefix>` is `homeassistant.prefix`
(`homeassistant`), `<ID>` a Nuki ID as eight upper-case hex digits.

`<device>` is made from the name that a device had when it was first seen: lower case, ä ö ü ß as ae oe ue ss, accents
dropped, everything else than a-z and 0-9 becomes one `_`, at most {max_slug} characters. Where that gives nothing, eight hex
digits, `gateway` or `bridge`, it is `nuki_<id>`. Two equal names that are first seen together both get the last four hex
digits of their IDs; beside a device that is already known only the newcomer does. A topic stays when the name changes in
the Nuki app, and is never given to another device by chance. Set your own with `devices: {{<ID>: {{topic: ...}}}}`.
"""

_VOUCH = """\
## What we vouch for

`availability` and `"stale"` say whether the snapshot can be believed now. A device goes `online` and fresh only by a report
that this run of the gateway has received. The last known `lock` stays readable in a stale snapshot. At the first connection
to the broker every device that is remembered is told `offline` and stale before `gateway/state` says `online`; at later
connections those that we do not vouch for are, and the others are said again as they are.

| a device goes offline | and comes back by |
|---|---|
| no readable `/list` of its Bridge with it for 2 x `poll.list_s` + {grace:.0f} s (a 503 buys time, {busy:.0f} s at most; a 401 or \
an unreadable body is no answer) | a readable `/list` with it |
| missing from `poll.offline_after_scans` scans of `/info` in a row (hardware Bridges whose scans had it in this run, and \
list anything; 0 is off) | a scan hit, a callback, a newer entry in `/list` |
| a command or a forced read did not reach it | a callback, a successful `/lockState`, an entry in `/list` later than the failure |
| its entry in `/list` has no state (one `/lockState` is tried at the start and after a callback) | a state from any source |
| the gateway stops | a report after the start |

A Bridge's own availability follows the first row.

## Who is right

`/list` is a Bridge's cache, callbacks are fast hints. An entry in `/list` overrides a callback only if its own timestamp is
not older than the callback's arrival. An older entry that contradicts it changes nothing, and one `/lockState` decides; with
`poll.forced_per_day` spent the callback stands, counted as `unconfirmed_hints`. `/lockState` wakes the lock and costs
battery; it is used for nothing else than this, an entry without a state, a transition that `/list` shows for more than
{stuck:.0f} s, a `get` with `force`, and a command that nothing else proves. A change that `/list` tells and no callback told within {patience:.0f} s is one of `lost_callbacks`; {many} in an hour poll three
times as often, and say so.
"""

_OWNER = """\
## One gateway per base topic

Another gateway counts as online while `gateway/state` is online and its health was heard within {live:.0f} s. Of two the one that
started earlier keeps the base (the lower instance id, if both started at once). The other has no last will, says nothing,
asks no Bridge, writes an error to its log, and takes over when the first is gone. The owner says `online` again when it reads
an `offline` that it did not say. Before it speaks, a gateway reads the retained messages of its base: until {quiet} s pass
without another, {longest:.0f} s at most.
"""


def _topics() -> str:
    minute = f"retained, at change and each {HEALTH_S:.0f} s"
    rows = [
        (_TREE.gateway_state, "retained, QoS 1, last will", "`online` or `offline`"),
        (_TREE.gateway_info, "retained", "version, instance, start, protocol, `sources`, settings without secrets"),
        (
            _TREE.gateway_devices,
            "retained",
            "all devices: `id`, `name`, `topic`, `type`, `sources` (`bridge`, `web`), `permitted`",
        ),
        (_TREE.gateway_health, minute, "below"),
        ("<base>/bridge/<ID>", "retained", "below"),
        ("<base>/bridge/<ID>/availability", "retained", "`online` or `offline`"),
        (_TREE.device("<device>"), "retained, QoS 1", "the snapshot, below (`mqtt.output` json or both)"),
        (_TREE.attribute("<device>", "<attribute>"), "retained", "one leaf of it (`mqtt.output` attribute or both)"),
        (_TREE.availability("<device>"), "retained, QoS 1", "`online` or `offline`: do we vouch for the snapshot?"),
        (_TREE.event("<device>"), "never retained, QoS 1", "what happened just now, below"),
        (_TREE.event_late("<device>"), "never retained, QoS 1", "what happened too long ago to act on"),
        ("<base>/<device>/set", "to us", "a command, below"),
        ("<base>/<device>/get", "to us", "look again, below"),
        (_TREE.result("<device>"), "never retained, QoS 1", "what becomes of a command"),
        (_TREE.keypad("<device>"), "retained", "the keypad codes of the device, [below](#keypad-codes)"),
        ("<base>/<device>/keypad/set", "to us", "an order for a keypad code"),
        (_TREE.keypad_result("<device>"), "never retained, QoS 1", "what becomes of it"),
        ("<base>/gateway/request/<verb>", "to us", "a request to the gateway, below"),
        (_TREE.response("<verb>"), "never retained, QoS 1", "its answer"),
    ]
    head = ("topic", "flags", "payload")
    return "## Topics\n\n" + table(head, ((f"`{topic}`", flags, what) for topic, flags, what in rows))


def _snapshot() -> str:
    snapshot = Snapshot(
        nuki_id=_LOCK,
        device_type=4,
        name="Front door",
        firmware="3.5.1",
        state_code=1,
        mode_code=2,
        door_code=2,
        battery=Battery(85, critical=False, charging=False),
        keypad_battery_critical=False,
        has_keypad=True,
        source=Source.CALLBACK,
        seen=_SEEN,
        changed=_CHANGED,
        stale=False,
        bridge=_BRIDGE,
        rssi_dbm=-67,
    )
    opener = Snapshot(
        nuki_id=NukiId(0x2A2B3C4D),
        device_type=2,
        name="Intercom",
        state_code=3,
        mode_code=2,
        battery=Battery(critical=False),
        ring_at=_CHANGED,
        source=Source.LIST,
        seen=_SEEN,
        changed=_CHANGED,
        stale=False,
        bridge=_BRIDGE,
    )
    sources = ", ".join(f"`{source}`" for source in Source if source is not Source.COMMAND)
    return (
        "## Snapshot\n\nKeys that no source of a device knows are absent, unknown values are `null`.\n\n"
        + example(render_snapshot(snapshot))
        + "\nAn Opener has `ring_to_open`, `continuous_mode` and `ring` (the time of the last ring on the Bridge's "
        "clock) and no door:\n\n"
        + example(render_snapshot(opener))
        + f"\n`source` is one of {sources}. `seen` is the report's own time on our clock (a callback's is its arrival); "
        f"a difference in `seen`, `source` or `rssi_dbm` alone is said at most every {QUIET_CHANGE_S:.0f} s. `changed` is the "
        "`seen` of the report in which state, door, ring-to-open or continuous mode last differed. `derived` is true "
        "while `state` was concluded from our own command, that is from the Bridge's `success` until the next report or "
        "the end of the command; it never goes on to a final state by itself, and gives no event. With `mqtt.output: attribute` the topics are the paths of the leaves "
        "(`battery/level`), and null is an empty retained message; Home Assistant reads the JSON object, so that it is "
        "told of no device then.\n"
    )


def _words() -> str:
    types = [(str(code), kind_of(code), name) for code, name in _TYPES.items()]
    types.append(("others", DeviceKind.UNKNOWN, "taken for a lock that cannot be unlatched"))
    locks = [
        (str(code), state_of(4, code), lock_word_of(4, code, 2) or "null")
        for code in _CODES
        if state_of(4, code) is not LockState.UNKNOWN
    ]
    openers = [
        (str(code), state_of(2, code), lock_word_of(2, code, 2) or "null", lock_word_of(2, code, 3) or "null")
        for code in _CODES
        if state_of(2, code) != LockState.UNKNOWN.value
    ]
    doors: dict[str, list[str]] = {}
    for code in _CODES:
        doors.setdefault(door_of(code), []).append(str(code))
    door_rows = [(word, ", ".join(codes) if len(codes) < 5 else "all others") for word, codes in doors.items()]
    modes = [(str(code), mode_of(code)) for code in (2, 3)] + [("others", mode_of(0))]
    unknown = ("others", "unknown", "null")
    return (
        "### Words\n\n"
        + table(("`device_type`", "`type`", "device"), types)
        + "\n"
        + table(("lock `state_code`", "`state`", "`lock`"), [*locks, unknown])
        + "\n"
        + table(
            ("Opener `state_code`", "`state`", "`lock`", "`lock` in continuous mode"), [*openers, (*unknown, "null")]
        )
        + "\n"
        + table(("`door`", "`door_code`"), [*door_rows, ("null", "no door sensor")])
        + "\n"
        + table(("`mode_code`", "`mode`"), modes)
    )


def _events() -> str:
    samples = [
        DeviceEvent(
            EventType.STATE_CHANGED,
            _SEEN,
            Source.CALLBACK,
            StateChange(LockState.LOCKED, LockState.UNLOCKED, 1, 3),
        ),
        DeviceEvent(EventType.DOOR_OPENED, _SEEN, Source.CALLBACK),
        DeviceEvent(EventType.DOOR_CLOSED, _SEEN, Source.LIST),
        DeviceEvent(EventType.RING, _SEEN, Source.CALLBACK, RingTime(_SEEN)),
        DeviceEvent(EventType.JAMMED, _SEEN, Source.LIST),
        DeviceEvent(EventType.BATTERY_LOW, _SEEN, Source.LIST, BatteryPart.LOCK),
        DeviceEvent(
            EventType.COMMAND_FAILED, _SEEN, Source.COMMAND, CommandFailure(Action.UNLOCK, Reason.MOTOR_BLOCKED)
        ),
    ]
    cloud = ", ".join(f"`{kind}`" for kind in EventType if kind not in {sample.event_type for sample in samples})
    return (
        "## Events\n\n```json\n"
        + "\n".join(render_event(sample).decode() for sample in samples)
        + f"\n```\n\nBy [Nuki's cloud](#who-did-what): {cloud}.\n\nAn event that the broker could not be told within "
        f"{publications.LATE_AFTER_S:.0f} s goes to `event/late`, and so does a ring that `/list` or a belated callback tells "
        f"more than {LATE_S:.0f} s after it happened, and what was under way when the connection broke (the broker may "
        "have it already); no automation should act on those. At most "
        f"{publications.MAX_EVENTS:,} events wait for the broker, then the oldest is dropped and counted in "
        "`events_dropped`. The first report of a device after the start gives no event; a ring is told once, by its "
        "timestamp, and never if it is from before the start; a door sensor that is unknown for some seconds gives "
        "none.\n"
    )


def _bridge() -> str:
    view = BridgeView(
        bridge_id=_BRIDGE,
        host="192.0.2.10",
        port=8080,
        bridge_type=1,
        firmware="2.18.0",
        wifi_firmware="2.1.17",
        uptime_s=86400,
        wlan_connected=True,
        cloud_connected=True,
    )
    slots = (SlotView(0, "192.0.2.20:51828", is_own=False), SlotView(1, "192.0.2.5:8321", is_own=True))
    rows = [
        ("`instance`, `started`", "who this gateway is, and since when"),
        ("`bridges[].reachable`", "whether a readable `/list` came lately"),
        ("`bridges[].busy_answers`", "answers 503 since the start"),
        ("`bridges[].forced_reads`", "reads that woke a lock, since the start"),
        ("`bridges[].lost_callbacks`", "changes that polling had to tell"),
        ("`bridges[].unconfirmed_hints`", "callbacks that nothing could confirm"),
        ("`bridges[].callback`", "`held`, `pending`, `full` (others have all slots), `refused`, `off`"),
        ("`bridges[].clock_skew_s`", "the Bridge's clock minus ours"),
        ("`bridges[].queue`, `auth`, `problem`", "requests waiting, token mode that works, what is wrong"),
        ("`broker`", "protocol, connections lost, events waiting and dropped"),
        ("`command_clock_skew_s`", "the `ts` of the last command minus our clock; null before the first"),
        ("`cloud`", "[Nuki's cloud](#health-of-the-cloud); null without a token"),
        ("`state_file`", "what is wrong with it, or null"),
        ("`needs_pairing`", "whether a token is missing"),
    ]
    return (
        "## Bridge\n\n"
        + example(render_bridge(view, started=_CHANGED, slots=slots))
        + "\nOf callback slots only host and port are shown: a path may be somebody's secret.\n\n## Health\n\n"
        + table(("key", "meaning"), rows)
    )


def _home_assistant() -> str:
    rows: list[tuple[str, str]] = []
    for name, device_type in (("lock", 4), ("Opener", 2)):
        facts = homeassistant.DeviceFacts(
            nuki_id=_LOCK,
            device_type=device_type,
            name="",
            firmware=None,
            topic="<device>",
            bridge=_BRIDGE,
            features=frozenset(Feature),
            permitted=frozenset(actions_of(device_type)) & frozenset(Action),
        )
        rows.append((name, ", ".join(f"`{key}`" for key in homeassistant.entity_keys(facts))))
    topic = "`<prefix>/device/nuki2mqtt_<ID>/config`"
    return (
        f"## Home Assistant\n\nOne retained message per device at {topic}, in the device form (Home Assistant 2024.12 or "
        "later); unique ids are `nuki2mqtt_<ID>_<key>`. With `homeassistant.form: entity` one per entity at "
        "`<prefix>/<component>/nuki2mqtt_<ID>/<key>/config`, and a change of the form hands the entities over. An entity is offered only for what the device was seen to have "
        "and what is permitted. Availability needs all three: gateway, Bridge and device. Said again "
        f"{BORN_MIN_S:.0f} to {BORN_MIN_S + BORN_SPAN_S:.0f} s after Home Assistant's birth message. Cleared, with the "
        f"device's topics, when {LISTS} complete lists of every source over {GONE_AFTER_S / 60:.0f} minutes lack it, or by "
        "`device_remove`.\n\n" + table(("device", "keys"), rows)
    )


def render_topics_reference() -> str:
    """The whole page."""
    return "\n".join(
        (
            _INTRO.format(max_slug=MAX_SLUG),
            _topics(),
            _snapshot(),
            _words(),
            _events(),
            render_commands(),
            render_requests(),
            render_cloud(),
            _VOUCH.format(
                grace=vouching.GRACE_S,
                busy=vouching.BUSY_EXTENSION_S,
                stuck=STUCK_AFTER_S,
                patience=PATIENCE_S,
                many=TOO_MANY,
            ),
            _bridge(),
            _OWNER.format(live=LIVE_S, quiet=QUIET_S, longest=LONGEST_READ_S),
            _home_assistant(),
        )
    )


if __name__ == "__main__":
    sys.stdout.write(render_topics_reference())
