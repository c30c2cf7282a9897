import ast
import copy
import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki2mqtt.model.action import LOCK_ACTIONS, OPENER_ACTIONS, Action, actions_of
from nuki2mqtt.model.bridge import SOFTWARE_BRIDGE, BridgeView
from nuki2mqtt.model.device import DeviceKind, Feature, NukiId, kind_of
from nuki2mqtt.model.state import LockWord
from nuki2mqtt.protocol.command_payloads import parse_command, parse_get, parse_request
from nuki2mqtt.protocol.command_words import find_action
from nuki2mqtt.protocol.homeassistant import (
    DeviceFacts,
    Discovery,
    DiscoveryContext,
    render_bridge,
    render_device,
    render_gateway,
    render_removal,
    split_by_entity,
)
from tests.protocol.ha_schema import complaints

GOLDEN = Path(__file__).parent / "golden" / "homeassistant"
CONTEXT = DiscoveryContext(
    base_topic="nuki2mqtt", prefix="homeassistant", version="0.1.0", open_states=True, command_ts=True
)
BRIDGE = BridgeView(
    bridge_id=NukiId(0x75049CF5),
    host="192.0.2.10",
    port=8080,
    bridge_type=1,
    firmware="2.18.0",
    wifi_firmware="2.2.0",
)
FRONT_DOOR = DeviceFacts(
    nuki_id=NukiId(0x1A2B3C4D),
    device_type=0,
    name="Front door",
    firmware="2.12.4",
    topic="front_door",
    bridge=BRIDGE.bridge_id,
    features=frozenset(
        {
            Feature.DOOR,
            Feature.BATTERY_LEVEL,
            Feature.BATTERY_CRITICAL,
            Feature.BATTERY_CHARGING,
            Feature.KEYPAD,
            Feature.RSSI,
        }
    ),
    permitted=frozenset(LOCK_ACTIONS),
)
BACK_DOOR = DeviceFacts(
    nuki_id=NukiId(0x4D5E6F70),
    device_type=4,
    name="Back door",
    firmware="3.5.1",
    topic="back_door",
    bridge=BRIDGE.bridge_id,
    features=frozenset(),
    permitted=frozenset(LOCK_ACTIONS),
)
OFFICE = DeviceFacts(
    nuki_id=NukiId(0x5E6F7081),
    device_type=3,
    name="Office",
    firmware="1.8.0",
    topic="office",
    bridge=BRIDGE.bridge_id,
    features=frozenset({Feature.DOOR, Feature.DOOR_SENSOR_BATTERY, Feature.LAST_ACTION}),
    permitted=frozenset(LOCK_ACTIONS),
)
OPENER = DeviceFacts(
    nuki_id=NukiId(0x2B3C4D5E),
    device_type=2,
    name="Haustür",
    firmware="1.5.3",
    topic="haustuer",
    bridge=BRIDGE.bridge_id,
    features=frozenset({Feature.RING, Feature.BATTERY_CRITICAL}),
    permitted=frozenset(OPENER_ACTIONS),
)
UNKNOWN = DeviceFacts(
    nuki_id=NukiId(0xABCD),
    device_type=99,
    name="",
    firmware=None,
    topic="nuki_0000abcd",
    bridge=None,
    features=frozenset(),
    permitted=frozenset(Action),
)
BATTERY = frozenset({Feature.BATTERY_LEVEL, Feature.BATTERY_CRITICAL, Feature.BATTERY_CHARGING})
WITHOUT_UNLATCH = frozenset({Action.LOCK, Action.UNLOCK, Action.LOCK_N_GO})

RENDERED = {
    "smart_lock_2": render_device(FRONT_DOOR, CONTEXT),
    "smart_lock_4": render_device(dataclasses.replace(BACK_DOOR, features=BATTERY), CONTEXT),
    "smart_door": render_device(OFFICE, dataclasses.replace(CONTEXT, base_topic="home/nuki2mqtt", prefix="ha")),
    "opener": render_device(OPENER, CONTEXT),
    "unknown_type": render_device(UNKNOWN, CONTEXT),
    "no_unlatch": render_device(dataclasses.replace(BACK_DOOR, permitted=WITHOUT_UNLATCH), CONTEXT),
    "permit_nothing": render_device(dataclasses.replace(BACK_DOOR, permitted=frozenset()), CONTEXT),
    "permit_lock": render_device(dataclasses.replace(BACK_DOOR, permitted=frozenset({Action.LOCK})), CONTEXT),
    "permit_unlock": render_device(dataclasses.replace(BACK_DOOR, permitted=frozenset({Action.UNLOCK})), CONTEXT),
    "permit_unlatch": render_device(dataclasses.replace(BACK_DOOR, permitted=frozenset({Action.UNLATCH})), CONTEXT),
    "opener_strike": render_device(dataclasses.replace(OPENER, permitted=frozenset({Action.ELECTRIC_STRIKE})), CONTEXT),
    "plain_words": render_device(BACK_DOOR, dataclasses.replace(CONTEXT, open_states=False, command_ts=False)),
    "bridge": render_bridge(BRIDGE, CONTEXT),
    "gateway": render_gateway("c0ffee12-77ab", CONTEXT),
}


def read(discovery: Discovery) -> Any:
    return json.loads(discovery.payload)


def components(discovery: Discovery) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = read(discovery)["cmps"]
    return found


@pytest.mark.parametrize("name", RENDERED)
def test_golden(name: str) -> None:
    golden = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    assert RENDERED[name].topic == golden["topic"]
    assert read(RENDERED[name]) == golden["payload"]
    assert list(components(RENDERED[name])) == list(golden["payload"]["cmps"])


def test_every_golden_file_is_compared() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(RENDERED)


@pytest.mark.parametrize("name", RENDERED)
def test_golden_files_keep_the_rules(name: str) -> None:
    golden = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    assert complaints(golden["topic"], golden["payload"]) == []


# --- over everything that can be said -----------------------------------------------------------------------

nuki_ids = st.builds(NukiId, st.integers(0, 0xFFFF_FFFF))
levels = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-äß. ", min_size=1, max_size=12)
contexts = st.builds(
    DiscoveryContext,
    base_topic=st.lists(levels, min_size=1, max_size=3).map("/".join),
    prefix=st.sampled_from(["homeassistant", "ha/discovery"]),
    version=st.just("0.1.0"),
    open_states=st.booleans(),
    command_ts=st.booleans(),
)
devices = st.builds(
    DeviceFacts,
    nuki_id=nuki_ids,
    device_type=st.one_of(st.integers(0, 6), st.integers(0, 1000)),
    name=st.text(max_size=40),
    firmware=st.none() | st.just("3.5.1"),
    topic=st.from_regex(r"[a-z0-9_]{1,40}", fullmatch=True),
    bridge=st.none() | nuki_ids,
    features=st.frozensets(st.sampled_from(Feature)),
    permitted=st.frozensets(st.sampled_from(Action)),
)
bridges = st.builds(
    BridgeView,
    bridge_id=nuki_ids,
    host=st.just("192.0.2.10"),
    port=st.just(8080),
    bridge_type=st.sampled_from([None, 1, 2, 7]),
    firmware=st.none() | st.just("2.18.0"),
    app_version=st.none() | st.just("1.1.0"),
)


@given(facts=devices, context=contexts)
def test_every_device_keeps_the_rules(facts: DeviceFacts, context: DiscoveryContext) -> None:
    discovery = render_device(facts, context)
    assert complaints(discovery.topic, read(discovery)) == []


@given(view=bridges, context=contexts)
def test_every_bridge_keeps_the_rules(view: BridgeView, context: DiscoveryContext) -> None:
    discovery = render_bridge(view, context)
    assert complaints(discovery.topic, read(discovery)) == []


@given(context=contexts)
def test_every_gateway_keeps_the_rules(context: DiscoveryContext) -> None:
    discovery = render_gateway("c0ffee12-77ab", context)
    assert complaints(discovery.topic, read(discovery)) == []


def asked_for(facts: DeviceFacts, context: DiscoveryContext) -> dict[tuple[str, str], Action | None]:
    """What each control of each entity asks of the device."""
    return {
        (key, which): find_action(parse_command(message).word, facts.device_type)
        for key, component in components(render_device(facts, context)).items()
        if component.get("cmd_t") == f"{context.base_topic}/{facts.topic}/set"
        for which, message in sent(component)
    }


def locking(facts: DeviceFacts) -> set[Action]:
    """The two actions of a lock's face."""
    if kind_of(facts.device_type) is DeviceKind.OPENER:
        return {Action.ACTIVATE_RTO, Action.DEACTIVATE_RTO}
    return {Action.LOCK, Action.UNLOCK}


@given(facts=devices, context=contexts)
def test_nothing_unpermitted_is_offered(facts: DeviceFacts, context: DiscoveryContext) -> None:
    assert set(asked_for(facts, context).values()) <= facts.permitted & set(actions_of(facts.device_type))


@given(facts=devices, context=contexts)
def test_all_that_is_permitted_is_offered_but_half_of_continuous_mode(
    facts: DeviceFacts, context: DiscoveryContext
) -> None:
    missing = facts.permitted & set(actions_of(facts.device_type)) - set(asked_for(facts, context).values())
    assert len(missing) <= 1
    assert missing <= {Action.ACTIVATE_CM, Action.DEACTIVATE_CM}


@given(facts=devices, context=contexts)
def test_a_lock_needs_both_and_something_else_shows_the_state_without_it(
    facts: DeviceFacts, context: DiscoveryContext
) -> None:
    found = components(render_device(facts, context))
    has_lock = locking(facts) <= facts.permitted & set(actions_of(facts.device_type))
    buttons = {"lock_button", "unlock", "activate_rto", "deactivate_rto", "electric_strike"}
    assert [key for key in found if "name" in found[key] and found[key]["name"] is None] == [
        "lock" if has_lock else "unlocked"
    ]
    assert not (has_lock and found.keys() & buttons)


@given(facts=devices, context=contexts)
def test_what_opens_an_undocumented_door_is_never_offered(facts: DeviceFacts, context: DiscoveryContext) -> None:
    unknown = dataclasses.replace(facts, device_type=99)
    assert set(asked_for(unknown, context).values()) <= {Action.LOCK, Action.UNLOCK}


@given(facts=devices, context=contexts)
def test_only_what_was_seen_is_offered(facts: DeviceFacts, context: DiscoveryContext) -> None:
    needed = {
        "door": Feature.DOOR,
        "door_state": Feature.DOOR,
        "ring": Feature.RING,
        "battery": Feature.BATTERY_LEVEL,
        "battery_low": Feature.BATTERY_CRITICAL,
        "battery_charging": Feature.BATTERY_CHARGING,
        "keypad_battery_low": Feature.KEYPAD,
        "door_sensor_battery_low": Feature.DOOR_SENSOR_BATTERY,
        "last_action": Feature.LAST_ACTION,
        "last_action_by": Feature.LAST_ACTION,
        "last_trigger": Feature.LAST_ACTION,
        "rssi": Feature.RSSI,
    }
    found = components(render_device(facts, context))
    assert {needed[key] for key in found if key in needed} <= facts.features


# What Home Assistant puts in for `utcnow().isoformat()`; seen with its release 2026.11.0.
GIVEN = "2026-11-22T01:18:23.696954+00:00"
GIVEN_AT = datetime(2026, 11, 22, 1, 18, 23, 696954, tzinfo=UTC)
DEFAULT_WORDS = {"pl_lock": "LOCK", "pl_unlk": "UNLOCK"}


def sent(component: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Everything that Home Assistant can send for a component: which of its payloads, and the message."""
    defaults = DEFAULT_WORDS if component["p"] == "lock" else {}
    for key in ("pl_lock", "pl_unlk", "pl_open", "pl_on", "pl_off", "pl_prs"):
        word = component.get(key, defaults.get(key))
        if word is not None:
            text = component.get("cmd_tpl", "{{ value }}").replace("{{ utcnow().isoformat() }}", GIVEN)
            text = text.replace("{{ value }}", word)
            assert "{{" not in text
            assert "{%" not in text
            yield key, text.encode()


@given(facts=devices, context=contexts)
def test_every_command_is_understood_and_carries_its_time_or_is_never_queued(
    facts: DeviceFacts, context: DiscoveryContext
) -> None:
    for component in components(render_device(facts, context)).values():
        if component.get("cmd_t", "").endswith("/set"):
            for _, message in sent(component):
                order = parse_command(message)
                assert order.ts == (GIVEN_AT if context.command_ts else None)
                assert message.startswith(b"{") is context.command_ts
                assert find_action(order.word, facts.device_type) in facts.permitted
            assert component["qos"] == (1 if context.command_ts else 0)


@pytest.mark.parametrize("command_ts", [True, False])
@pytest.mark.parametrize("facts", [FRONT_DOOR, OPENER, OFFICE], ids=lambda facts: facts.topic)
def test_what_each_control_asks_for(facts: DeviceFacts, *, command_ts: bool) -> None:
    asked = asked_for(facts, dataclasses.replace(CONTEXT, command_ts=command_ts))
    if facts is OPENER:
        assert asked == {
            ("lock", "pl_lock"): Action.DEACTIVATE_RTO,
            ("lock", "pl_unlk"): Action.ACTIVATE_RTO,
            ("lock", "pl_open"): Action.ELECTRIC_STRIKE,
            ("ring_to_open", "pl_on"): Action.ACTIVATE_RTO,
            ("ring_to_open", "pl_off"): Action.DEACTIVATE_RTO,
            ("continuous_mode", "pl_on"): Action.ACTIVATE_CM,
            ("continuous_mode", "pl_off"): Action.DEACTIVATE_CM,
        }
    else:
        assert asked == {
            ("lock", "pl_lock"): Action.LOCK,
            ("lock", "pl_unlk"): Action.UNLOCK,
            ("lock", "pl_open"): Action.UNLATCH,
            ("lock_n_go", "pl_prs"): Action.LOCK_N_GO,
            ("lock_n_go_unlatch", "pl_prs"): Action.LOCK_N_GO_UNLATCH,
            ("unlatch", "pl_prs"): Action.UNLATCH,
        }


@given(facts=devices, context=contexts)
def test_refresh_reads_the_cache_and_wakes_nothing(facts: DeviceFacts, context: DiscoveryContext) -> None:
    refresh = components(render_device(facts, context))["refresh"]
    ((_, message),) = sent(refresh)
    assert refresh["cmd_t"] == f"{context.base_topic}/{facts.topic}/get"
    assert not parse_get(message).force


@given(view=bridges, context=contexts)
def test_restarting_a_bridge_is_asked_of_the_gateway(view: BridgeView, context: DiscoveryContext) -> None:
    found = components(render_bridge(view, context))
    assert ("restart" in found) is (view.bridge_type != SOFTWARE_BRIDGE)
    if "restart" in found:
        ((_, message),) = sent(found["restart"])
        assert found["restart"]["cmd_t"] == f"{context.base_topic}/gateway/request/bridge_reboot"
        assert parse_request(message).values == {"bridge": str(view.bridge_id)}


@given(facts=devices, context=contexts)
def test_the_announced_platforms_are_those_of_the_message(facts: DeviceFacts, context: DiscoveryContext) -> None:
    discovery = render_device(facts, context)
    assert discovery.platforms == {key: component["p"] for key, component in components(discovery).items()}


@given(facts=devices, context=contexts)
def test_what_was_not_seen_is_told_from_what_is_not_permitted(facts: DeviceFacts, context: DiscoveryContext) -> None:
    discovery = render_device(facts, context)
    everything = render_device(dataclasses.replace(facts, features=frozenset(Feature)), context)
    assert discovery.platforms | discovery.unseen == everything.platforms
    assert not discovery.platforms.keys() & discovery.unseen.keys()


@given(facts=devices, context=contexts)
def test_a_removal_keeps_the_rules_and_everything_else(facts: DeviceFacts, context: DiscoveryContext) -> None:
    discovery = render_device(facts, context)
    gone = {"lock_n_go": "button", "gate": "switch", "lock": "lock"}
    body = render_removal(discovery, gone)
    message = json.loads(body)
    assert complaints(discovery.topic, message) == []
    assert body == json.dumps(message, separators=(",", ":")).encode("ascii")
    assert {key: message["cmps"].pop(key) for key in gone} == {key: {"p": gone[key]} for key in gone}
    expected = read(discovery)
    for key in gone:
        expected["cmps"].pop(key, None)
    assert message == expected


@given(facts=devices, context=contexts)
def test_entities_survive_a_new_name_topic_and_base(facts: DeviceFacts, context: DiscoveryContext) -> None:
    def unique_ids(discovery: Discovery) -> dict[str, str]:
        return {key: component["uniq_id"] for key, component in components(discovery).items()}

    renamed = dataclasses.replace(facts, name="Other", topic="other")
    moved = dataclasses.replace(context, base_topic="elsewhere")
    assert unique_ids(render_device(renamed, moved)) == unique_ids(render_device(facts, context))


@given(facts=devices, context=contexts)
def test_payload_is_compact_ascii_and_stable(facts: DeviceFacts, context: DiscoveryContext) -> None:
    discovery = render_device(facts, context)
    assert discovery.payload == json.dumps(read(discovery), separators=(",", ":")).encode("ascii")
    assert render_device(dataclasses.replace(facts), context) == discovery


# --- single facts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "permitted", "controls"),
    [
        (BACK_DOOR, (), {}),
        (BACK_DOOR, (Action.LOCK,), {"lock_button": Action.LOCK}),
        (BACK_DOOR, (Action.UNLOCK,), {"unlock": Action.UNLOCK}),
        (BACK_DOOR, (Action.UNLATCH,), {"unlatch": Action.UNLATCH}),
        (BACK_DOOR, (Action.LOCK, Action.UNLATCH), {"lock_button": Action.LOCK, "unlatch": Action.UNLATCH}),
        (OPENER, (), {}),
        (OPENER, (Action.ELECTRIC_STRIKE,), {"electric_strike": Action.ELECTRIC_STRIKE}),
        (OPENER, (Action.ACTIVATE_RTO,), {"activate_rto": Action.ACTIVATE_RTO}),
        (
            OPENER,
            (Action.DEACTIVATE_RTO, Action.ELECTRIC_STRIKE),
            {"deactivate_rto": Action.DEACTIVATE_RTO, "electric_strike": Action.ELECTRIC_STRIKE},
        ),
    ],
    ids=lambda value: value.topic if isinstance(value, DeviceFacts) else "+".join(value) or "nothing",
)
def test_what_is_permitted_without_a_lock_has_buttons(
    facts: DeviceFacts, permitted: tuple[Action, ...], controls: dict[str, Action]
) -> None:
    narrowed = dataclasses.replace(facts, permitted=frozenset(permitted))
    found = components(render_device(narrowed, CONTEXT))
    assert asked_for(narrowed, CONTEXT) == {(key, "pl_prs"): action for key, action in controls.items()}
    assert {key for key in controls if not found[key].get("en", True)} == controls.keys() & {"unlatch"}
    assert "cmd_t" not in found["unlocked"]


@pytest.mark.parametrize("base", [BACK_DOOR, OPENER], ids=lambda facts: facts.topic)
def test_both_directions_without_the_latch_are_a_lock_without_open(base: DeviceFacts) -> None:
    found = components(render_device(dataclasses.replace(base, permitted=frozenset(locking(base))), CONTEXT))
    assert "pl_open" not in found["lock"]
    assert not found.keys() & {"unlocked", "lock_button", "unlock", "activate_rto", "deactivate_rto"}


def test_a_box_which_understands_nothing_has_no_controls() -> None:
    box = dataclasses.replace(BACK_DOOR, device_type=1, permitted=frozenset(Action))
    assert asked_for(box, CONTEXT) == {}
    assert "unlocked" in components(render_device(box, CONTEXT))


def test_what_is_under_way_is_not_locked_and_what_is_jammed_is_unknown() -> None:
    template = components(RENDERED["permit_nothing"])["unlocked"]["val_tpl"]
    shown = re.fullmatch(r"\{\{ (\{.*\})\.get\(value_json\.get\('lock'\)\) \}\}", template)
    assert shown is not None
    moving_or_open = set(LockWord) - {LockWord.LOCKED, LockWord.JAMMED}
    assert ast.literal_eval(shown[1]) == {"LOCKED": "OFF"} | dict.fromkeys(moving_or_open, "ON")


@pytest.mark.parametrize("missing", [Action.ACTIVATE_RTO, Action.DEACTIVATE_RTO])
def test_ring_to_open_needs_both_directions(missing: Action) -> None:
    facts = dataclasses.replace(OPENER, permitted=OPENER.permitted - {missing})
    found = components(render_device(facts, CONTEXT))
    assert "ring_to_open" not in found
    assert "continuous_mode" in found


def test_opener_lock_opens_the_strike_only_where_permitted() -> None:
    facts = dataclasses.replace(OPENER, permitted=OPENER.permitted - {Action.ELECTRIC_STRIKE})
    assert "pl_open" not in components(render_device(facts, CONTEXT))["lock"]


def test_software_bridge_shows_its_app_version() -> None:
    view = dataclasses.replace(BRIDGE, bridge_type=SOFTWARE_BRIDGE, firmware=None, app_version="1.1.0")
    device = read(render_bridge(view, CONTEXT))["dev"]
    assert (device["mdl"], device["sw"]) == ("Software Bridge", "1.1.0")


def test_two_gateways_do_not_share_an_id() -> None:
    other = dataclasses.replace(CONTEXT, base_topic="home/nuki")
    assert render_gateway("a", other).topic == "homeassistant/device/nuki2mqtt_gateway_home_nuki/config"
    assert render_gateway("a", other).topic != render_gateway("b", CONTEXT).topic


def test_devices_are_reached_through_bridge_and_gateway() -> None:
    device, bridge, gateway = (read(RENDERED[name])["dev"] for name in ("smart_lock_2", "bridge", "gateway"))
    assert [device["via_device"]] == bridge["ids"]
    assert [bridge["via_device"]] == gateway["ids"]
    assert "via_device" not in gateway


# --- the rules themselves bite ------------------------------------------------------------------------------


def put(*path: str, value: Any) -> Callable[[Any], None]:
    def change(payload: Any) -> None:
        for key in path[:-1]:
            payload = payload[key]
        payload[path[-1]] = value

    return change


def drop(*path: str) -> Callable[[Any], None]:
    def change(payload: Any) -> None:
        for key in path[:-1]:
            payload = payload[key]
        del payload[path[-1]]

    return change


SPOILT = {
    "unknown top key": put("~", value="nuki2mqtt"),
    "top key of 2026.11": put("msg_exp_int", value=10),
    "top qos": put("qos", value=1),
    "no origin": drop("o"),
    "nameless origin": drop("o", "name"),
    "unknown dev key": put("dev", "vis", value=True),
    "number in dev": put("dev", "sn", value=12),
    "no ids": put("dev", "ids", value=[]),
    "mode latest": drop("avty_mode"),
    "wildcard availability": put("avty", value=[{"t": "nuki2mqtt/#"}]),
    "no components": put("cmps", value={}),
    "unknown platform": put("cmps", "lock", "p", value="gate"),
    "removal of an unknown platform": put("cmps", "unlatch", value={"p": "gate"}),
    "removal that says more": put("cmps", "unlatch", value={"p": "button", "name": "Unlatch"}),
    "no unique id": drop("cmps", "lock", "uniq_id"),
    "repeated unique id": put("cmps", "door", "uniq_id", value="nuki2mqtt_1A2B3C4D_lock"),
    "foreign unique id": put("cmps", "lock", "uniq_id", value="front_door"),
    "no qos": drop("cmps", "lock", "qos"),
    "bare but queued": drop("cmps", "lock", "cmd_tpl"),
    "retained": put("cmps", "lock", "ret", value=True),
    "no command topic": drop("cmps", "lock", "cmd_t"),
    "two main entities": put("cmps", "door", "name", value=None),
    "nameless": drop("cmps", "unlatch", "name"),
    "unknown class": put("cmps", "door", "dev_cla", value="gate"),
    "sensor as config": put("cmps", "battery", "ent_cat", value="config"),
    "enum with unit": put("cmps", "lock_state", "unit_of_meas", value="%"),
    "enum without options": drop("cmps", "lock_state", "ops"),
    "wrong unit": put("cmps", "rssi", "unit_of_meas", value="V"),
    "doorbell without ring": put("cmps", "activity", "dev_cla", value="doorbell"),
    "unlisted events": put("cmps", "activity", "evt_typ", value=["jammed"]),
    "bare value": put("cmps", "lock", "val_tpl", value="{{ value_json.lock }}"),
    "deep value": put("cmps", "battery", "val_tpl", value="{{ value_json.get('battery').get('level') }}"),
    "lost command": put("cmps", "unlatch", "cmd_tpl", value="{}"),
    "equal sides": put("cmps", "door", "pl_on", value="OFF"),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_rules_bite(fault: str) -> None:
    payload = copy.deepcopy(read(RENDERED["smart_lock_2"]))
    assert complaints(RENDERED["smart_lock_2"].topic, payload) == []
    SPOILT[fault](payload)
    assert complaints(RENDERED["smart_lock_2"].topic, payload)


@pytest.mark.parametrize("topic", ["homeassistant/lock/nuki2mqtt_1/config", "ha/device/nuki2mqtt_ä/config"])
def test_rules_bite_for_topics(topic: str) -> None:
    assert complaints(topic, read(RENDERED["smart_lock_2"]))


# --- the entity form ---


@pytest.mark.parametrize("prefix", ["homeassistant", "a/b"])
def test_each_entity_has_a_message_of_its_own_with_all_that_the_device_says(prefix: str) -> None:
    whole = render_device(FRONT_DOOR, dataclasses.replace(CONTEXT, prefix=prefix))
    message = json.loads(whole.payload)
    components = message.pop("cmps")
    singles = split_by_entity(whole)

    assert [json.loads(one.payload) | {"p": next(iter(one.platforms.values()))} for one in singles] == [
        component | message for component in components.values()
    ]
    assert [one.platforms for one in singles] == [{key: component["p"]} for key, component in components.items()]
    assert singles[0].topic == f"{prefix}/lock/nuki2mqtt_1A2B3C4D/lock/config"
    assert len({one.topic for one in singles}) == len(components)
