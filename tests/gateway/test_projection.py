"""From what we know to what MQTT shall say: differences, quiet ones, the forms of output."""

import json
from dataclasses import replace

import pytest

from nuki2mqtt.gateway.bridge_link import BridgeLink
from nuki2mqtt.gateway.discovery_form import DiscoveryForms
from nuki2mqtt.gateway.projection import Projection, bridge_health
from nuki2mqtt.gateway.publications import Publications
from nuki2mqtt.gateway.vocabulary import BridgeMemory, DeviceMemory, MqttPublished, Publish
from nuki2mqtt.model.event import DeviceEvent, EventType
from nuki2mqtt.model.state import Battery, Snapshot, Source
from nuki2mqtt.protocol.payloads import (
    GatewayHealth,
    GatewayInfo,
    RetainedSnapshot,
    attribute_paths,
    parse_retained_snapshot,
    render_snapshot,
)
from nuki2mqtt.protocol.topics import TopicTree
from tests.gateway.builders import BRIDGE_ID, CONFIG, LINK, LOCK, Line, moment, only, read, wall

NO_DISCOVERY = f"{CONFIG}homeassistant: {{enabled: false}}\n"
SNAPSHOT = Snapshot(
    nuki_id=LOCK,
    device_type=4,
    name="Front door",
    state_code=1,
    mode_code=2,
    battery=Battery(level=85),
    source=Source.LIST,
    seen=wall(0),
    changed=wall(0),
    stale=False,
    bridge=BRIDGE_ID,
    rssi_dbm=-67,
)
DEVICE, AVAILABILITY = "nuki2mqtt/front_door", "nuki2mqtt/front_door/availability"
CONFIG_TOPIC = "homeassistant/device/nuki2mqtt_1A2B3C4D/config"
MEMORY = DeviceMemory("front_door", "Front door", 4)


# What the other forms of output say of it.
LEAVES = dict.fromkeys([f"{DEVICE}/{path}" for path in attribute_paths()], b"")


class Stage:
    """A projection and what it says."""

    def __init__(self, config: str = NO_DISCOVERY) -> None:
        self.publications = Publications()
        self.publications.opened()
        tree = TopicTree("nuki2mqtt", "homeassistant")
        self.announced: dict[str, dict[str, str]] = {}
        announcements = DiscoveryForms(self.publications, self.announced)
        self.settings = read(config)
        self.projection = Projection(self.settings, tree, self.publications, announcements, "0.1.0")

    def show(self, snapshot: Snapshot, at: float = 0.0) -> dict[str, bytes]:
        permitted = self.settings.permitted(snapshot.nuki_id, snapshot.device_type)
        self.projection.show_device(snapshot, "front_door", permitted, moment(at))
        return self.said()

    def said(self, now: float = 0.0) -> dict[str, bytes]:
        told = dict[str, bytes]()
        while effects := self.publications.flush(now):
            for publish in only(effects, Publish):
                assert publish.topic not in told
                told[publish.topic] = publish.payload
                self.publications.ended(MqttPublished(publish.message_id))
        return told


# --- devices ---


def test_a_snapshot_then_its_availability() -> None:
    assert list(Stage().show(SNAPSHOT).items()) == [(DEVICE, render_snapshot(SNAPSHOT)), (AVAILABILITY, b"online")]


def test_a_stale_snapshot_is_offline() -> None:
    stale = replace(SNAPSHOT, stale=True)

    assert Stage().show(stale) == {DEVICE: render_snapshot(stale), AVAILABILITY: b"offline"}


@pytest.mark.parametrize("output", ["json", "attribute", "both"])
def test_the_output_setting_chooses_the_form_and_both_says_the_snapshot_first(output: str) -> None:
    said = Stage(f"{NO_DISCOVERY}mqtt: {{output: {output}}}\n").show(SNAPSHOT)

    assert (DEVICE in said) is (output != "attribute")
    assert (f"{DEVICE}/battery/level" in said) is (output != "json")
    assert said[AVAILABILITY] == b"online"
    assert next(iter(said)) == (f"{DEVICE}/id" if output == "attribute" else DEVICE)


@pytest.mark.parametrize("change", [{"seen": wall(30)}, {"rssi_dbm": -80}, {"seen": wall(30), "rssi_dbm": None}])
def test_seen_and_rssi_alone_are_said_at_most_every_300_s(change: dict[str, object]) -> None:
    stage = Stage()
    stage.show(SNAPSHOT, 0)
    quiet = replace(SNAPSHOT, **change)  # type: ignore[arg-type]

    assert [stage.show(quiet, at) for at in (1, 30, 299.9)] == [{}, {}, {}]
    assert stage.show(quiet, 300) == {DEVICE: render_snapshot(quiet)}
    assert stage.show(replace(quiet, seen=wall(599)), 599) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"state_code": 3},
        {"door_code": 2},
        {"mode_code": 3},
        {"battery": Battery(level=84)},
        {"name": "Yard"},
        {"firmware": "3.5.2"},
        {"changed": wall(5)},
        {"bridge": None},
    ],
)
def test_every_other_difference_is_said_at_once(change: dict[str, object]) -> None:
    stage = Stage()
    stage.show(SNAPSHOT)
    changed = replace(SNAPSHOT, seen=wall(1), **change)  # type: ignore[arg-type]

    assert stage.show(changed, 1) == {DEVICE: render_snapshot(changed)}


def test_an_equal_snapshot_says_nothing() -> None:
    stage = Stage()
    stage.show(SNAPSHOT)

    assert stage.show(SNAPSHOT, 9999) == {}


def test_a_device_listed_without_a_state_is_shown_with_nulls() -> None:
    nothing = Snapshot(nuki_id=LOCK, device_type=4, name="Front door", bridge=BRIDGE_ID)

    assert Stage().show(nothing) == {DEVICE: render_snapshot(nothing), AVAILABILITY: b"offline"}


def test_a_device_that_no_bridge_has_listed_is_not_shown() -> None:
    assert Stage().show(Snapshot(nuki_id=LOCK, device_type=4, name="Front door")) == {}


# --- remembered devices ---


def retained(snapshot: Snapshot = SNAPSHOT) -> RetainedSnapshot:
    made = parse_retained_snapshot(render_snapshot(snapshot))
    assert made is not None
    return made


def test_what_an_earlier_process_said_is_told_as_stale_with_everything_in_it() -> None:
    stage = Stage()
    stage.projection.show_remembered(LOCK, MEMORY, retained())

    assert stage.said() == {
        DEVICE: render_snapshot(replace(SNAPSHOT, stale=True)),
        AVAILABILITY: b"offline",
        **LEAVES,
    }


def test_what_an_earlier_process_said_stays_until_this_one_knows_the_state() -> None:
    stage = Stage()
    stage.projection.show_remembered(LOCK, MEMORY, retained())
    stage.said()
    nothing = Snapshot(nuki_id=LOCK, device_type=4, name="Front door", bridge=BRIDGE_ID)

    assert stage.show(nothing) == {}
    assert stage.show(SNAPSHOT) == {DEVICE: render_snapshot(SNAPSHOT), AVAILABILITY: b"online"}


def test_a_remembered_device_that_the_broker_forgot_has_nulls() -> None:
    stage = Stage()
    stage.projection.show_remembered(LOCK, MEMORY, None)
    nothing = Snapshot(nuki_id=LOCK, device_type=4, name="Front door")

    assert stage.said() == {DEVICE: render_snapshot(nothing), AVAILABILITY: b"offline", **LEAVES}


def test_beside_the_snapshot_the_attribute_stale_is_told() -> None:
    stage = Stage(f"{NO_DISCOVERY}mqtt: {{output: both}}\n")
    stage.projection.show_remembered(LOCK, MEMORY, retained())

    assert stage.said() == {
        DEVICE: render_snapshot(replace(SNAPSHOT, stale=True)),
        f"{DEVICE}/stale": b"true",
        AVAILABILITY: b"offline",
    }


def test_in_the_attribute_form_the_last_known_lock_stays_readable() -> None:
    stage = Stage(f"{NO_DISCOVERY}mqtt: {{output: attribute}}\n")
    stage.projection.show_remembered(LOCK, MEMORY, None)

    assert stage.said() == {DEVICE: b"", f"{DEVICE}/stale": b"true", AVAILABILITY: b"offline"}


@pytest.mark.parametrize("output", ["json", "attribute", "both"])
def test_what_another_setting_has_fed_is_cleared_once_and_not_on_each_connection(output: str) -> None:
    stage = Stage(f"{NO_DISCOVERY}mqtt: {{output: {output}}}\n")
    stage.projection.show_remembered(LOCK, MEMORY, retained())
    first = [topic for topic, payload in stage.said().items() if not payload]
    stage.publications.opened()

    assert first == {"json": list(LEAVES), "attribute": [DEVICE], "both": []}[output]
    assert b"" not in stage.said().values()


def test_a_clearing_that_the_broker_does_not_have_is_said_on_the_next_connection() -> None:
    stage = Stage()
    stage.projection.show_remembered(LOCK, MEMORY, retained())
    stage.publications.flush(0)
    stage.publications.opened()

    assert stage.said().items() >= LEAVES.items()


# --- topics that were given up ---


def test_a_topic_that_was_given_up_is_cleared() -> None:
    stage = Stage()
    stage.show(SNAPSHOT)
    stage.projection.clear_device("front_door")

    assert stage.said() == {DEVICE: b"", AVAILABILITY: b"", f"{DEVICE}/keypad": b""}


def test_the_attributes_of_a_topic_that_was_given_up_are_cleared_too() -> None:
    stage = Stage(f"{NO_DISCOVERY}mqtt: {{output: both}}\n")
    said = stage.show(SNAPSHOT)
    stage.projection.clear_device("front_door")

    cleared = stage.said()

    assert set(cleared) >= {topic for topic, payload in said.items() if payload}
    assert set(cleared.values()) == {b""}


# --- events ---


@pytest.mark.parametrize(
    ("is_old", "now", "topic"),
    [
        (False, 1000.0, f"{DEVICE}/event"),
        (False, 1009.9, f"{DEVICE}/event"),
        (False, 1010.0, f"{DEVICE}/event/late"),
        (True, 1000.0, f"{DEVICE}/event/late"),
    ],
)
def test_an_event_is_late_when_it_is_old_or_was_received_10_s_ago(now: float, topic: str, *, is_old: bool) -> None:
    stage = Stage()
    event = DeviceEvent(EventType.JAMMED, wall(0), Source.LIST, is_old=is_old)
    stage.projection.tell_event(event, "front_door", 1000.0)

    assert list(stage.said(now)) == [topic]


# --- Home Assistant ---


def test_a_device_is_announced_once_and_again_when_it_is_seen_to_have_more() -> None:
    stage = Stage(CONFIG)
    told = [
        CONFIG_TOPIC in stage.show(replace(SNAPSHOT, **change), at)  # type: ignore[arg-type]
        for at, change in enumerate(
            ({}, {"state_code": 3}, {"door_code": 2}, {"door_code": None}, {"firmware": "9"}, {"name": "Yard"})
        )
    ]

    assert told == [True, False, True, False, True, True]


def test_without_home_assistant_nothing_is_announced() -> None:
    assert CONFIG_TOPIC not in Stage().show(SNAPSHOT)


def test_without_home_assistant_what_was_announced_stays_remembered() -> None:
    stage = Stage()
    stage.announced[CONFIG_TOPIC] = {"lock_n_go": "button"}
    stage.show(SNAPSHOT)

    assert stage.announced == {CONFIG_TOPIC: {"lock_n_go": "button"}}


def test_gateway_bridge_and_device_are_remembered_as_announced() -> None:
    stage = Stage(CONFIG)
    stage.projection.show_gateway(
        GatewayInfo(version="0.1.0", instance="1234abcd", started=wall(0), protocol="5", settings={})
    )
    stage.projection.show_bridge(Line.verified().link, is_online=True)
    stage.show(SNAPSHOT)

    gateway, bridge, device = stage.announced.values()
    assert list(stage.announced) == [
        "homeassistant/device/nuki2mqtt_gateway_nuki2mqtt/config",
        "homeassistant/device/nuki2mqtt_bridge_0A1B2C3D/config",
        CONFIG_TOPIC,
    ]
    assert (gateway["version"], bridge["restart"], device["unlatch"]) == ("sensor", "button", "button")


# --- Bridges and the gateway ---


def test_a_bridge_is_said_when_its_id_is_known_and_when_it_changes() -> None:
    stage = Stage()
    unknown = BridgeLink(read().bridges[0], read().poll, BridgeMemory())
    line = Line.verified()

    def shown(link: BridgeLink, *, is_online: bool) -> dict[str, bytes]:
        stage.projection.show_bridge(link, is_online=is_online)
        return stage.said()

    assert shown(unknown, is_online=False) == {}
    assert list(shown(line.link, is_online=True)) == [
        "nuki2mqtt/bridge/0A1B2C3D",
        "nuki2mqtt/bridge/0A1B2C3D/availability",
    ]
    assert shown(line.link, is_online=True) == {}
    assert shown(line.link, is_online=False) == {"nuki2mqtt/bridge/0A1B2C3D/availability": b"offline"}


def health(**change: object) -> GatewayHealth:
    made = GatewayHealth(
        instance="1234abcd",
        started=wall(0),
        bridges=(bridge_health(Line.verified().link, is_online=True, lost_callbacks=0),),
        protocol="5",
        connections_lost=0,
        events_waiting=0,
        events_dropped=0,
        state_file=None,
        needs_pairing=False,
    )
    return replace(made, **change)  # type: ignore[arg-type]


def test_health_is_said_at_change_and_each_minute() -> None:
    stage = Stage()

    def shown(report: GatewayHealth, *, again: bool = False) -> bool:
        stage.projection.show_health(report, again=again)
        return bool(stage.said())

    first, equal, changed = shown(health()), shown(health()), shown(health(connections_lost=1))
    minute = shown(health(connections_lost=1), again=True)

    assert (first, equal, changed, minute) == (True, False, True, True)


def test_a_queue_that_comes_and_goes_is_no_change() -> None:
    stage = Stage()
    stage.projection.show_health(health(), again=False)
    stage.said()
    busy = health(events_waiting=7)
    stage.projection.show_health(replace(busy, bridges=(replace(busy.bridges[0], queue=3),)), again=False)

    assert stage.said() == {}


def test_the_health_of_a_bridge() -> None:
    made = bridge_health(Line.verified().link, is_online=True, lost_callbacks=2)

    assert (made.bridge_id, made.address, made.is_reachable, made.lost_callbacks) == (BRIDGE_ID, LINK, True, 2)
    assert (made.auth, made.clock_skew_s, made.callback, made.queue, made.problem) == ("encrypted", 0, "off", 0, None)


def test_the_gateway_says_who_it_is_before_everything_else() -> None:
    stage = Stage()
    info = GatewayInfo(version="0.1.0", instance="1234abcd", started=wall(0), protocol="5", settings={})
    stage.projection.show_claim(info)
    stage.projection.show_gateway(info)
    said = stage.said()

    assert list(said) == ["nuki2mqtt/gateway/info", "nuki2mqtt/gateway/state"]
    assert said["nuki2mqtt/gateway/state"] == b"online"
    assert json.loads(said["nuki2mqtt/gateway/info"])["instance"] == "1234abcd"


def test_who_was_denied_says_all_of_itself_again() -> None:
    stage = Stage()
    info = GatewayInfo(version="0.1.0", instance="1234abcd", started=wall(0), protocol="5", settings={})
    stage.projection.show_claim(info)
    stage.projection.show_gateway(info)
    stage.projection.show_health(health(), again=True)
    first = stage.said()
    stage.projection.show_gateway_again()

    assert stage.said() == first
    assert len(first) == 3


def test_who_never_spoke_has_nothing_to_say_again() -> None:
    stage = Stage()
    stage.projection.show_gateway_again()

    assert stage.said() == {}
