"""A broker that stalls, restarts, refuses or is out of reach, beside a real process that has to live with it."""

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
import pytest_asyncio
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from tests.adapters.mosquitto import mosquitto, needs_mosquitto
from tests.stories.real.household import ear, kept
from tests.stories.real.processes import site
from tests.stories.real.trouble import (
    DOOR,
    ENDS,
    EVENT,
    LATE,
    SET,
    STATE,
    WILL_S,
    Home,
    home,
    line_to,
    marked,
    now,
    passes,
    selected,
    told_at_once,
)

# mosquitto ends a connection that is silent for one and a half times this, and looks each 5 s.
KEEPALIVE = ("max_keepalive 10",)
ACK_S = 10.0  # after that the gateway gives a silent broker up

pytestmark = [needs_mosquitto, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


def bare(action: str) -> bytes:
    """A command that does not say when it was given."""
    return action.encode()


# --- Silent deaths ------------------------------------------------------------------------------------------------


async def a_stopped_process_is_offline_and_obeys_nothing_that_waited(folder: Path) -> None:
    async with mosquitto(settings=KEEPALIVE) as broker, home(folder, broker) as one:
        running = await one.begin()
        mark = len(one.heard.heard)
        running.send(signal.SIGSTOP)
        try:
            one.here.lock.turn(3)
            await one.heard.publish(SET, bare("unlatch"))  # waits in the socket of the process
            await one.orders.give("unlatch", "waits")
            await one.heard.wait_for(STATE, lambda said: said == "offline", since=mark, timeout_s=WILL_S)
            mark = len(one.heard.heard)
        finally:
            running.send(signal.SIGCONT)
        await one.back(mark)
        await one.orders.shows_the_truth()
        assert (await kept(broker))[DOOR]["lock"] == "UNLOCKED"
        assert one.orders.acted == []
        assert one.orders.life("waits") == []
        await one.orders.obeyed("lock", "after")
        assert await running.stop() == 0


async def a_line_that_falls_silent_is_an_offline(folder: Path) -> None:
    """Nothing is closed: it is as if a router had forgotten the connection, and remembered it again."""
    async with (
        mosquitto(settings=KEEPALIVE) as broker,
        line_to(broker) as line,
        home(folder, broker, line) as one,
    ):
        running = await one.begin()
        mark = len(one.heard.heard)
        line.fall_silent()
        one.here.lock.turn(3)
        one.here.server.changed()
        await one.orders.give("unlatch", "waits")
        await running.wait_line("WARNING", "No connection to the broker", timeout_s=WILL_S)
        await one.heard.publish(SET, bare("unlatch"))
        await one.heard.wait_for(STATE, lambda said: said == "offline", since=mark, timeout_s=WILL_S)
        mark = len(one.heard.heard)
        line.resume()
        await one.back(mark)
        await one.orders.shows_the_truth()
        assert (await kept(broker))[DOOR]["lock"] == "UNLOCKED"
        assert one.orders.acted == []
        assert running.text.count("No connection to the broker") == 1
        await one.orders.obeyed("lock", "after")
        assert await running.stop() == 0


# --- A broker that stalls -----------------------------------------------------------------------------------------


async def a_stalled_broker_loses_no_end_and_no_event(folder: Path) -> None:
    async with mosquitto() as broker, home(folder, broker) as one:
        running = await one.begin()
        await one.orders.give("unlatch", "before")
        await one.orders.result("before", "accepted")
        broker.pause()
        try:
            waiting = [
                asyncio.create_task(one.heard.publish(SET, bare("unlock"))),
                asyncio.create_task(one.orders.give("unlock", "waits")),
            ]
            # Said to nobody: the end of the command, and that the door was opened.
            one.here.lock.set_door(3)
            one.here.server.changed()
            lost = await running.wait_line("WARNING", "No connection to the broker", timeout_s=2 * ACK_S)
            assert "has not acknowledged a message within 10 s" in lost
            one.here.lock.set_door(2)
            assert [status for _, status in await one.here.server.deliver()] in ([200], [])
            mark = len(one.heard.heard)
        finally:
            broker.resume()
        await asyncio.gather(*waiting, return_exceptions=True)  # whoever gave them may have given up waiting
        await one.back(mark)
        (end,) = one.orders.ends("before")
        assert end == ("confirmed", None)
        late = await one.heard.wait_for(LATE, lambda said: said["event_type"] == "door_opened")
        assert not late.retain
        events = {said["event_type"] for said in one.heard.said(EVENT, mark) + one.heard.said(LATE, mark)}
        assert events >= {"door_opened", "door_closed", "state_changed"}
        assert one.orders.acted == ["3"]
        assert one.orders.ends("waits") == []
        assert set(one.orders.life("waits")) <= {("refused", "stale"), ("refused", "starting")}
        await one.orders.shows_the_truth()
        await one.orders.obeyed("lock", "after")
        assert await running.stop() == 0


async def a_short_stall_makes_no_old_command_new(folder: Path) -> None:
    """Nothing was being said, so that nobody missed an acknowledgement."""
    async with mosquitto() as broker, home(folder, broker, extra="commands: {ttl_s: 1}\n") as one:
        await one.begin()
        broker.pause()
        try:
            waiting = asyncio.create_task(one.orders.give("unlock", "dated"))
            await passes(3)
        finally:
            broker.resume()
        await waiting
        assert (await one.orders.result("dated"))["reason"] == "stale"
        assert one.orders.acted == []


async def a_short_stall_makes_no_bare_command_new(folder: Path) -> None:
    async with mosquitto() as broker, home(folder, broker, extra="commands: {ttl_s: 1}\n") as one:
        await one.begin()
        broker.pause()
        try:
            waiting = asyncio.create_task(one.heard.publish(SET, bare("unlatch")))
            await passes(3)
        finally:
            broker.resume()
        await waiting
        with contextlib.suppress(AssertionError):  # refused, or dropped together with the connection
            await one.orders.result(None, *ENDS, "refused", timeout_s=5)
        assert one.orders.acted == []


# --- A broker that restarts ---------------------------------------------------------------------------------------


async def restarted(folder: Path, *, persistence: bool) -> None:
    # It has a persistent session, and keeps what it cannot send.
    faithful = paho.Client(
        CallbackAPIVersion.VERSION2, client_id="faithful", clean_session=False, reconnect_on_failure=False
    )
    async with mosquitto(persistence=persistence) as broker, site(folder, broker) as here:
        async with ear(broker, "#") as heard:
            one = Home(here, heard, here.write_config(mqtt='protocol: "5"', extra="commands: {ttl_s: 1}\n"))
            running = await one.begin()
        before = await kept(broker, "#")
        await broker.stop()
        await running.wait_line("No connection to the broker")
        orders = [{"action": action, "ts": now(), "transaction": action} for action in ("unlatch", "unlock", "lock")]
        for order in orders:
            assert faithful.publish(SET, json.dumps(order), qos=1).rc == MQTTErrorCode.MQTT_ERR_NO_CONN
        begun = time.monotonic()
        running.send(signal.SIGSTOP)  # until we listen
        await broker.start()
        async with ear(broker, "#") as heard:
            assert bool(heard.heard) is persistence
            one = Home(here, heard, one.config)
            running.send(signal.SIGCONT)
            await one.back(0)
            await one.orders.shows_the_truth()
            assert (await kept(broker, "#")).keys() == before.keys()
            assert time.monotonic() - begun > 1  # their time to live is over
            await asyncio.to_thread(faithful.connect, broker.host, broker.port)
            faithful.loop_start()
            try:
                for order in orders:
                    end = await one.orders.result(order["transaction"])
                    assert (end["status"], end["reason"]) == ("refused", "stale")
            finally:
                faithful.disconnect()
                await asyncio.to_thread(faithful.loop_stop)
            assert one.orders.acted == []
            await one.orders.obeyed("unlock", "after")
            assert await running.stop() == 0


async def a_restart_with_persistence(folder: Path) -> None:
    await restarted(folder, persistence=True)


async def a_restart_without_persistence(folder: Path) -> None:
    await restarted(folder, persistence=False)


# --- All of them --------------------------------------------------------------------------------------------------

STORIES = {
    story.__name__: story
    for story in (
        a_stopped_process_is_offline_and_obeys_nothing_that_waited,
        a_line_that_falls_silent_is_an_offline,
        a_stalled_broker_loses_no_end_and_no_event,
        a_short_stall_makes_no_old_command_new,
        a_short_stall_makes_no_bare_command_new,
        a_restart_with_persistence,
        a_restart_without_persistence,
    )
}
KNOWN = {
    "a_short_stall_makes_no_bare_command_new": "nothing is measured that would tell how long a broker has stalled",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def begun(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, "asyncio.Task[None]"]]:
    """The stories that were selected, begun together: each of them mostly waits."""
    async with told_at_once(selected(request, STORIES), tmp_path_factory.mktemp("trouble"), places=7) as tasks:
        yield tasks


@pytest.mark.parametrize("name", marked(STORIES, KNOWN))
async def test_of(name: str, begun: dict[str, "asyncio.Task[None]"]) -> None:
    await begun[name]
