"""The exact bytes of what the gateway says of itself and its Bridges, and how it reads another gateway's claim."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from nuki2mqtt.model.action import LOCK_ACTIONS, OPENER_ACTIONS, Action
from nuki2mqtt.model.bridge import BridgeView
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.payloads import (
    BridgeHealth,
    DeviceListing,
    GatewayClaim,
    GatewayHealth,
    GatewayInfo,
    SlotView,
    parse_claim,
    render_bridge,
    render_devices,
    render_gateway_info,
    render_health,
)

STARTED = datetime(2026, 11, 21, 19, 58, 40, 123456, tzinfo=UTC)
WHOLE = STARTED.replace(microsecond=0)
BRIDGE = BridgeView(
    bridge_id=NukiId(0x0A1B2C3D),
    host="192.0.2.10",
    port=8080,
    bridge_type=1,
    firmware="2.18.0",
    wifi_firmware="2.2.0",
    uptime_s=5000,
    wlan_connected=True,
    cloud_connected=False,
)
BRIDGE_HEALTH = BridgeHealth(
    bridge_id=NukiId(0x0A1B2C3D),
    address="192.0.2.10:8080",
    is_reachable=True,
    busy_answers=3,
    forced_reads=2,
    lost_callbacks=1,
    unconfirmed_hints=4,
    callback="held",
    clock_skew_s=-2,
    queue=1,
    auth="encrypted",
    problem=None,
)
HEALTH = GatewayHealth(
    instance="1234abcd",
    started=STARTED,
    bridges=(BRIDGE_HEALTH,),
    protocol="5",
    connections_lost=2,
    events_waiting=1,
    events_dropped=7,
    state_file=None,
    needs_pairing=False,
)


def test_a_hardware_bridge_with_its_slots() -> None:
    slots = (SlotView(0, "192.0.2.6:8123", is_own=False), SlotView(2, "192.0.2.5:8321", is_own=True))

    assert render_bridge(BRIDGE, started=WHOLE, slots=slots) == (
        b'{"id":"0A1B2C3D","name":"Nuki_Bridge_0A1B2C3D","address":"192.0.2.10:8080","type":"hardware",'
        b'"firmware":"2.18.0","wifi_firmware":"2.2.0","app_version":null,"uptime_s":5000,'
        b'"started":"2026-11-21T19:58:40Z","cloud_connected":false,"wlan_connected":true,'
        b'"callbacks":[{"id":0,"address":"192.0.2.6:8123","own":false},{"id":2,"address":"192.0.2.5:8321","own":true}]}'
    )


def test_a_bridge_of_which_little_is_known() -> None:
    view = BridgeView(bridge_id=NukiId(0x0A1B2C3D), host="bridge.lan", port=80)

    assert render_bridge(view, started=None, slots=None) == (
        b'{"id":"0A1B2C3D","name":"Nuki_Bridge_0A1B2C3D","address":"bridge.lan:80","type":null,"firmware":null,'
        b'"wifi_firmware":null,"app_version":null,"uptime_s":null,"started":null,"cloud_connected":null,'
        b'"wlan_connected":null,"callbacks":null}'
    )


@pytest.mark.parametrize(("number", "word"), [(1, b'"hardware"'), (2, b'"software"'), (9, b'"unknown"')])
def test_the_type_of_a_bridge(number: int, word: bytes) -> None:
    body = render_bridge(replace(BRIDGE, bridge_type=number), started=None, slots=())

    assert b'"type":' + word in body
    assert body.endswith(b'"callbacks":[]}')


def test_the_introduction_of_the_gateway_carries_its_start_to_the_microsecond() -> None:
    info = GatewayInfo(
        version="0.1.0", instance="1234abcd", started=STARTED, protocol="5", settings={"mqtt": {"password": "***"}}
    )

    assert render_gateway_info(info) == (
        b'{"version":"0.1.0","instance":"1234abcd","started":"2026-11-21T19:58:40.123456Z","protocol":"5",'
        b'"sources":["bridge"],"settings":{"mqtt":{"password":"***"}}}'
    )


def test_the_list_of_devices() -> None:
    devices = (
        DeviceListing(NukiId(0x1A2B3C4D), "Tür", "tuer", 4, frozenset({Action.LOCK, Action.UNLOCK})),
        DeviceListing(NukiId(0x2E5FE23A), "Intercom", "intercom", 2, frozenset()),
    )

    assert render_devices(devices).decode() == (
        '[{"id":"1A2B3C4D","name":"Tür","topic":"tuer","type":"smart_lock","sources":["bridge"],'
        '"permitted":["unlock","lock"]},'
        '{"id":"2E5FE23A","name":"Intercom","topic":"intercom","type":"opener","sources":["bridge"],"permitted":[]}]'
    )


def test_what_is_permitted_is_in_one_order_whatever_set_it_comes_from() -> None:
    def permitted(actions: frozenset[Action]) -> bytes:
        return render_devices((DeviceListing(NukiId(1), "x", "x", 0, actions),)).partition(b'"permitted":')[2]

    assert permitted(frozenset(LOCK_ACTIONS)) == b'["unlock","lock","unlatch","lock_n_go","lock_n_go_unlatch"]}]'
    assert permitted(frozenset(OPENER_ACTIONS)) == (
        b'["activate_rto","deactivate_rto","electric_strike","activate_cm","deactivate_cm"]}]'
    )


def test_no_devices_are_an_empty_list() -> None:
    assert render_devices(()) == b"[]"


def test_the_health_of_the_gateway() -> None:
    assert render_health(HEALTH) == (
        b'{"instance":"1234abcd","started":"2026-11-21T19:58:40.123456Z","bridges":[{"id":"0A1B2C3D",'
        b'"address":"192.0.2.10:8080","reachable":true,"busy_answers":3,"forced_reads":2,"lost_callbacks":1,'
        b'"unconfirmed_hints":4,"callback":"held","clock_skew_s":-2,"queue":1,"auth":"encrypted","problem":null}],'
        b'"broker":{"connected":true,"protocol":"5","connections_lost":2,"events_waiting":1,"events_dropped":7},'
        b'"cloud":null,"command_clock_skew_s":null,"state_file":null,"needs_pairing":false}'
    )


def test_the_health_of_a_gateway_without_broker_bridge_id_and_state_file() -> None:
    unknown = replace(BRIDGE_HEALTH, bridge_id=None, clock_skew_s=None, auth=None, problem="Bridge x: timeout.")
    health = replace(HEALTH, bridges=(unknown,), protocol=None, state_file="It cannot be written.", needs_pairing=True)

    assert render_health(health) == (
        b'{"instance":"1234abcd","started":"2026-11-21T19:58:40.123456Z","bridges":[{"id":null,'
        b'"address":"192.0.2.10:8080","reachable":true,"busy_answers":3,"forced_reads":2,"lost_callbacks":1,'
        b'"unconfirmed_hints":4,"callback":"held","clock_skew_s":null,"queue":1,"auth":null,'
        b'"problem":"Bridge x: timeout."}],'
        b'"broker":{"connected":false,"protocol":null,"connections_lost":2,"events_waiting":1,"events_dropped":7},'
        b'"cloud":null,"command_clock_skew_s":null,"state_file":"It cannot be written.","needs_pairing":true}'
    )


@pytest.mark.parametrize(("skew_s", "said"), [(0.0, b"0.0"), (-3.25, b"-3.25"), (None, b"null")])
def test_the_health_tells_how_far_the_clock_of_the_last_command_was_off(skew_s: float | None, said: bytes) -> None:
    body = render_health(replace(HEALTH, command_clock_skew_s=skew_s))

    assert b',"cloud":null,"command_clock_skew_s":' + said + b',"state_file":null,' in body


# --- claims ---


def test_our_own_introduction_and_health_are_claims() -> None:
    info = GatewayInfo(version="0.1.0", instance="1234abcd", started=STARTED, protocol="5", settings={})
    claim = GatewayClaim("1234abcd", STARTED)

    assert (parse_claim(render_gateway_info(info)), parse_claim(render_health(HEALTH))) == (claim, claim)


@pytest.mark.parametrize(
    ("started", "read"),
    [
        ("2026-11-21T19:58:40Z", WHOLE),
        ("2026-11-21T19:58:40", WHOLE),
        ("2026-11-21T20:58:40+01:00", WHOLE),
    ],
)
def test_a_start_is_read_in_every_zone(started: str, read: datetime) -> None:
    assert parse_claim(f'{{"instance":"x","started":"{started}"}}'.encode()) == GatewayClaim("x", read)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"online",
        b"null",
        b"[]",
        b"7",
        b"{}",
        b'{"instance":"x"}',
        b'{"started":"2026-11-21T19:58:40Z"}',
        b'{"instance":"","started":"2026-11-21T19:58:40Z"}',
        b'{"instance":7,"started":"2026-11-21T19:58:40Z"}',
        b'{"instance":"x","started":"yesterday"}',
        b'{"instance":"x","started":1795000000}',
        b'{"instance":"x","started":null}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_what_is_no_claim_is_nothing(body: bytes) -> None:
    assert parse_claim(body) is None
