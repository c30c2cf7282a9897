"""`nuki2mqtt check`: each line well and not well, with its next step."""

import asyncio
import re
import socket

import pytest

from nuki2mqtt.adapters.state_file import StateFile, write_pairing
from nuki2mqtt.faces.check import check
from nuki2mqtt.faces.setup import Setup
from nuki2mqtt.gateway.vocabulary import BridgeMemory, BridgePaired, Memory
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_auth import AuthMode
from nuki2mqtt.protocol.settings_reader import read_settings
from tests.adapters.brokers import RunningBroker, listener
from tests.faces.conftest import Perform, Said, Site
from tests.stories.real.household import TOKEN, free_port
from tests.stories.real.processes import until


def lines(said: Said, subject: str) -> list[str]:
    """The lines of one subject, the verdict before each."""
    found = (re.match(r"(ok  |FAIL)  (\S+) +(.*)", line) for line in said.out.splitlines())
    return [f"{match[1].strip()} {match[3]}" for match in found if match is not None and match[2] == subject]


def failed(said: Said) -> list[str]:
    return [line for line in said.out.splitlines() if not line.startswith("ok")]


async def test_all_is_well(here: Site, broker: RunningBroker, perform: Perform) -> None:
    said = await perform(check, here.setup(broker))
    assert said.status == 0, said.out
    assert failed(said) == []
    assert lines(said, "settings") == [f"ok readable, 1 Bridge, state in {here.folder}/state"]
    (line,) = lines(said, "broker")
    assert re.fullmatch(rf"ok 127\.0\.0\.1:{broker.port}, MQTT (5|3\.1\.1), no service is online there", line)
    assert lines(said, "bridge") == [
        f"ok {here.link} is 0A1B2C3D, firmware 2.18.0, token encrypted, cloud connected",
    ]
    bridge_clock, own_clock = lines(said, "clock")
    assert re.fullmatch(rf"ok {here.link} runs [+-][01] s beside this machine", bridge_clock)
    assert re.match(r"ok \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", own_clock)
    (line,) = lines(said, "callback")
    assert line.startswith(f"ok {here.link} will call http://127.0.0.1:{here.callback_port}, 3 of 3 slots free; ")
    assert TOKEN not in said.out + said.err
    # It only looks: nothing is registered, nothing is moved.
    assert {request.path for request in here.bridge.requests} == {"/info", "/callback/list"}


async def test_nobody_is_there(here: Site, perform: Perform) -> None:
    """No broker, no Bridge: each says where, and what to do."""
    with here.bridge.faults.refuse_connections():
        said = await perform(check, here.setup())
    assert said.status == 1
    (broker,) = lines(said, "broker")
    assert broker.startswith("FAIL 127.0.0.1:")
    assert "mqtt.host" in broker
    (bridge,) = lines(said, "bridge")
    assert bridge.startswith(f"FAIL Bridge {here.link}: refused")
    assert "Check its power and address" in bridge


async def test_a_wrong_token(here: Site, perform: Perform) -> None:
    said = await perform(check, here.setup(bridge="token: wrong1"))
    assert said.status == 1
    (line,) = lines(said, "bridge")
    assert line.startswith(f"FAIL Bridge {here.link} refuses the token (401). Check `token`")
    assert "nuki2mqtt pair --host 127.0.0.1" in line
    assert [request.mode for request in here.bridge.requests] == ["encrypted", "hashed"]  # never the readable one
    assert "wrong1" not in said.out + said.err


async def test_who_gives_no_id_is_not_the_bridge_that_is_expected(here: Site, perform: Perform) -> None:
    with here.bridge.faults.garbage("/info", b'{"bridgeType":1}'):
        said = await perform(check, here.setup(bridge=f"token: {TOKEN}, id: 0a1b2c3d"))
    assert said.status == 1
    (line,) = lines(said, "bridge")
    assert "gives no Bridge ID" in line
    assert [request.path for request in here.bridge.requests] == ["/info"]


async def test_another_bridge_than_configured(here: Site, perform: Perform) -> None:
    said = await perform(check, here.setup(bridge=f"token: {TOKEN}, id: 11223344"))
    assert said.status == 1
    assert f"FAIL {here.link} is Bridge 0A1B2C3D, but 11223344 is expected there: correct `id` or the address" in lines(
        said, "bridge"
    )


async def test_the_callback_port_is_in_use(here: Site, perform: Perform) -> None:
    with socket.create_server(("127.0.0.1", here.callback_port)):
        said = await perform(check, here.setup())
    text = f"FAIL port {here.callback_port} is in use: stop what uses it or set another callback.port"
    assert lines(said, "callback") == [text]


async def test_all_slots_belong_to_others(here: Site, perform: Perform) -> None:
    with here.bridge.faults.slots_taken(3):
        said = await perform(check, here.setup())
    (line,) = lines(said, "callback")
    assert line.startswith(f"FAIL All 3 callback slots of Bridge {here.link} belong to other programs.")
    assert "Remove one" in line
    assert "stranger" not in line  # somebody's path may be somebody's secret


async def test_no_bridge_is_configured(here: Site, perform: Perform) -> None:
    text = f"version: 1\nmqtt: {{host: 127.0.0.1, port: {free_port()}}}\n"
    said = await perform(check, Setup(read_settings(text, read_file=lambda name: name), here.folder))
    assert said.status == 1
    assert lines(said, "settings") == [
        "FAIL readable, but no Bridge is configured or paired: nuki2mqtt find shows its address and the next command"
    ]
    assert lines(said, "bridge") == []


async def test_a_bridge_without_a_token(here: Site, perform: Perform) -> None:
    said = await perform(check, here.setup(bridge="id: 0A1B2C3D"))
    (line,) = lines(said, "bridge")
    assert line.startswith(f"FAIL {here.link} has no token: nuki2mqtt pair --host 127.0.0.1")
    assert here.bridge.requests == []


async def test_a_bridge_that_only_knows_the_hashed_token(here: Site, perform: Perform) -> None:
    here.bridge.tokens.modes = frozenset({"hashed"})
    said = await perform(check, here.setup())
    assert lines(said, "bridge") == [f"ok {here.link} is 0A1B2C3D, firmware 2.18.0, token hashed, cloud connected"]


async def test_a_bridge_whose_clock_is_wrong(here: Site, perform: Perform) -> None:
    with here.bridge.faults.clock_skew(45):
        said = await perform(check, here.setup())
    line = lines(said, "clock")[0]
    assert re.match(rf"FAIL {here.link} runs \+4[45] s beside this machine; beyond 60 s tokens are refused", line)


async def test_callbacks_are_switched_off(here: Site, perform: Perform) -> None:
    setup = here.setup(extra="")
    text = (
        f"version: 1\nmqtt: {{host: 127.0.0.1, port: {setup.settings.mqtt.port}}}\ncallback: {{enabled: false}}\n"
        f"bridges: [{{host: 127.0.0.1, port: {here.server.port}, token: {TOKEN}}}]\n"
    )
    said = await perform(check, Setup(read_settings(text, read_file=lambda name: name), here.folder))
    assert lines(said, "callback") == ["ok off: changes are seen by polling only"]


@pytest.mark.parametrize(
    ("lease", "line"),
    [
        ("held", "ok {link}: the running service says 'held'"),
        ("full", "FAIL {link}: the running service says 'full'; see the service's log for the reason"),
    ],
)
async def test_beside_a_running_service(
    here: Site, broker: RunningBroker, perform: Perform, lease: str, line: str
) -> None:
    """The lease is the service's to know; its callback port is in use, by itself."""
    async with listener(broker) as service:
        body = f'{{"bridges":[{{"address":"{here.link}","callback":"{lease}"}}]}}'
        await service.publish("nuki2mqtt/gateway/state", b"online", retain=True)
        await service.publish("nuki2mqtt/gateway/health", body.encode(), retain=True)
        with socket.create_server(("127.0.0.1", here.callback_port)):
            said = await perform(check, here.setup(broker))
    assert lines(said, "broker")[0].endswith("a service is online there")
    assert lines(said, "callback") == [line.format(link=here.link)]
    assert said.status == (0 if lease == "held" else 1)


async def test_what_the_service_has_learnt_is_used(here: Site, perform: Perform) -> None:
    """Token and mode from the state file."""
    setup = here.setup(bridge="id: 0A1B2C3D")
    with StateFile(setup.state_dir) as state:
        state.open()
        state.save(Memory(bridges={here.link: BridgeMemory(None, Secret(TOKEN), AuthMode.HASHED)}))
    said = await perform(check, setup)
    assert [request.mode for request in here.bridge.requests] == ["hashed", "hashed"]
    assert lines(said, "bridge") == [f"ok {here.link} is 0A1B2C3D, firmware 2.18.0, token hashed, cloud connected"]


async def test_a_token_that_waits_for_the_service_is_used(here: Site, perform: Perform) -> None:
    """After `pair` and before the first `run`."""
    setup = here.setup(bridge="id: 0A1B2C3D")
    write_pairing(setup.state_dir, BridgePaired(here.link, Secret(TOKEN)))
    said = await perform(check, setup)
    assert lines(said, "bridge")[0].startswith("ok ")


async def test_a_bridge_that_is_busy_once(here: Site, perform: Perform) -> None:
    """A Bridge answers one request at a time, and the service asks, too."""

    async def end_after_one_request() -> None:
        await until(lambda: here.bridge.requests, "a request")
        fault.end()

    fault = here.bridge.faults.busy().begin()
    ending = asyncio.create_task(end_after_one_request())
    said = await perform(check, here.setup())
    await ending
    assert lines(said, "bridge")[0].startswith("ok ")


async def test_a_token_that_a_bridge_repeats_is_not_printed(here: Site, perform: Perform) -> None:
    with here.bridge.faults.garbage("/info", f"{TOKEN} is not valid".encode(), 400):
        said = await perform(check, here.setup())
    (line,) = lines(said, "bridge")
    assert "*** is not valid" in line
    assert TOKEN not in said.out + said.err
