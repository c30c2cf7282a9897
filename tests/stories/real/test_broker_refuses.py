"""A broker that refuses us something: it is said with what to do next, and works once it is mended."""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from nuki2mqtt.gateway.vocabulary import ConnectMqtt, MqttReceived, MqttSubscribed, Subscription
from nuki2mqtt.model.secret import Secret
from tests.adapters.linked import QUICK, linked
from tests.adapters.mosquitto import Mosquitto, mosquitto, needs_mosquitto
from tests.stories.real.household import Ear, ear, kept
from tests.stories.real.processes import until
from tests.stories.real.trouble import (
    AVAILABILITY,
    DOOR,
    STATE,
    WILL_S,
    Line,
    home,
    line_to,
    passes,
    selected,
    started,
    told_at_once,
)

pytestmark = [needs_mosquitto, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

LOGIN, OTHER = {"username": "nuki", "password": "gatewayMARKED"}, {"username": "test", "password": "other"}
USERS = {LOGIN["username"]: LOGIN["password"], OTHER["username"]: OTHER["password"]}
MQTT = f"username: {LOGIN['username']}, password: {LOGIN['password']}"
ALL = "user test\ntopic readwrite #\nuser nuki\ntopic readwrite homeassistant/#\ntopic readwrite nuki2mqtt/#\n"
NO_BASE = ALL.replace("topic readwrite nuki2mqtt/#", "topic read nuki2mqtt/#")
NO_DISCOVERY = ALL.replace("topic readwrite homeassistant/#", "topic read homeassistant/#")
BIRTH = "homeassistant/status"
DISCOVERY = "homeassistant/device/nuki2mqtt_1A2B3C4D/config"
RETAINED = {STATE, DOOR, AVAILABILITY, DISCOVERY, "nuki2mqtt/gateway/info", "nuki2mqtt/gateway/devices"}


async def mended(broker: Mosquitto, **how: Any) -> None:
    """Give the broker other rights or users; until it has read them."""
    broker.log.clear()
    await broker.reload(**how)
    await until(lambda: any("Reloading config" in line for line in broker.log), "the broker has read them")


async def tries_at_leisure(line: Line, more: int) -> None:
    """It tries to connect again and again, with a second at least in between."""
    begun, before = time.monotonic(), line.connections
    await until(lambda: line.connections >= before + more, "it tries again", timeout_s=WILL_S)
    assert time.monotonic() - begun >= more - 1


async def a_refused_login(folder: Path) -> None:
    wrong = {**USERS, LOGIN["username"]: "something else"}
    async with (
        mosquitto(users=wrong, acl=ALL) as broker,
        line_to(broker) as line,
        home(folder, broker, line, mqtt=MQTT, **OTHER) as one,
    ):
        running = await one.here.run(one.config)
        said = await running.wait_line("WARNING", "No connection to the broker")
        assert "check mqtt.username and mqtt.password" in said
        await tries_at_leisure(line, 2)
        await mended(broker, users=USERS)
        await one.back(0)
        await one.orders.obeyed("unlock", "after")
        assert running.text.count("check mqtt.username") == 1
        assert LOGIN["password"] not in running.text
        assert await running.stop() == 0


async def a_refused_base(folder: Path) -> None:
    async with (
        mosquitto(users=USERS, acl=NO_BASE) as broker,
        line_to(broker) as line,
        home(folder, broker, line, mqtt=MQTT, **OTHER) as one,
    ):
        running = await one.here.run(one.config)
        await running.wait_line("WARNING", "The broker refuses ", "not authorised", "(ACL)")
        await until(lambda: one.here.own_slots, "it is at home at the Bridge all the same")
        connections = line.connections
        await mended(broker, acl=ALL)
        one.here.lock.turn(3)
        one.here.server.changed()
        await one.heard.wait_for(DOOR, lambda said: said["lock"] == "UNLOCKED")
        await one.orders.ready()
        await one.orders.obeyed("lock", "after")
        assert line.connections == connections <= 3
        assert await running.stop() == 0


async def a_refused_base_is_told_whole_once_it_may_be(folder: Path) -> None:
    """Something of it gets through, so that it knows."""
    async with mosquitto(users=USERS, acl=NO_BASE) as broker, home(folder, broker, None, mqtt=MQTT, **OTHER) as one:
        running = await one.here.run(one.config)
        await running.wait_line("WARNING", "The broker refuses nuki2mqtt/")
        await until(lambda: one.here.own_slots, "it is at home at the Bridge")
        await mended(broker, acl=ALL)
        one.here.lock.turn(3)
        one.here.server.changed()
        await one.heard.wait_for(DOOR, lambda said: said["lock"] == "UNLOCKED")
        await one.heard.wait_for(STATE, lambda said: said == "online", timeout_s=5)
        assert (await kept(broker, "#", **OTHER)).keys() >= RETAINED


async def a_refused_discovery(folder: Path) -> None:
    async with (
        mosquitto(users=USERS, acl=NO_DISCOVERY) as broker,
        line_to(broker) as line,
        home(folder, broker, line, mqtt=MQTT, **OTHER) as one,
    ):
        running = await one.begin()
        await running.wait_line("WARNING", "The broker refuses ", "not authorised", "(ACL)")
        await one.orders.obeyed("unlock", "meanwhile")
        assert DISCOVERY not in await kept(broker, "#", **OTHER)
        connections = line.connections
        await mended(broker, acl=ALL)
        await one.heard.publish(BIRTH, b"online")
        await one.heard.wait_for(DISCOVERY)
        assert line.connections == connections <= 3
        await one.orders.obeyed("lock", "after")
        assert running.text.count("The broker refuses ") == 1
        assert await running.stop() == 0


async def a_refusal_names_what_was_refused(folder: Path) -> None:
    """Who reads it has to know which right is missing."""
    async with (
        mosquitto(users=USERS, acl=NO_DISCOVERY) as broker,
        home(folder, broker, None, mqtt=MQTT, **OTHER) as one,
    ):
        running = await one.begin()
        await running.wait_line("WARNING", "The broker refuses homeassistant/", "the right to write there")


# --- A broker that refuses subscriptions; mosquitto's list of rights cannot, its dynamic security can ---------------

PLUGIN = next(Path("/usr/lib").glob("**/mosquitto_dynamic_security.so"), None)
CONTROL = "$CONTROL/dynamic-security/v1"


def client(login: dict[str, str], role: str) -> dict[str, Any]:
    salt = b"twelve bytes"
    hashed = hashlib.pbkdf2_hmac("sha512", login["password"].encode(), salt, 101, 64)
    return {
        "username": login["username"],
        "password": base64.b64encode(hashed).decode(),
        "salt": base64.b64encode(salt).decode(),
        "iterations": 101,
        "roles": [{"rolename": role}],
    }


def rule(kind: str, topic: str, *, allow: bool, priority: int = 0) -> dict[str, Any]:
    return {"acltype": kind, "topic": topic, "allow": allow, "priority": priority}


def rights(*rules: dict[str, Any]) -> str:
    """Everybody may do all; the gateway what these rules leave."""
    everything = dict.fromkeys(("publishClientSend", "publishClientReceive", "subscribe", "unsubscribe"), True)
    return json.dumps(
        {
            "defaultACLAccess": everything,
            "clients": [client(LOGIN, "gateway"), client(OTHER, "admin")],
            "roles": [
                {"rolename": "gateway", "acls": list(rules)},
                {"rolename": "admin", "acls": [rule("publishClientSend", "$CONTROL/#", allow=True)]},
            ],
        }
    )


@asynccontextmanager
async def secured(folder: Path, *rules: dict[str, Any]) -> AsyncIterator[Mosquitto]:
    if PLUGIN is None:
        pytest.skip("mosquitto has no dynamic security")
    path = folder / "dynamic-security.json"
    path.write_text(rights(*rules), encoding="utf-8")
    async with mosquitto(settings=(f"plugin {PLUGIN}", f"plugin_opt_config_file {path}")) as broker:
        yield broker


async def allow(heard: Ear) -> None:
    """Take the gateway's rules away; the broker ends its connections for that."""
    order = {"commands": [{"command": "modifyRole", "rolename": "gateway", "acls": []}]}
    await heard.publish(CONTROL, json.dumps(order).encode())


async def all_subscriptions_are_refused(folder: Path) -> None:
    async with (
        secured(folder, rule("subscribePattern", "#", allow=False)) as broker,
        line_to(broker) as line,
        home(folder, broker, line, mqtt=MQTT, **OTHER) as one,
    ):
        running = await one.here.run(one.config)
        await running.wait_line("WARNING", "the broker refuses all subscriptions", "check its ACL")
        await tries_at_leisure(line, 2)
        assert running.text.count("refuses all subscriptions") <= line.connections
        await allow(one.heard)
        await one.back(0)
        await one.orders.obeyed("unlock", "after")
        assert await running.stop() == 0


async def the_subscription_to_commands_is_refused(folder: Path) -> None:
    async with (
        secured(folder, rule("subscribePattern", "nuki2mqtt/+/set", allow=False)) as broker,
        line_to(broker) as line,
        home(folder, broker, line, mqtt=MQTT, **OTHER) as one,
    ):
        running = await started(one.here, one.heard, one.config)
        await running.wait_line("WARNING", "refuses to subscribe us to nuki2mqtt/+/set", "check its ACL")
        await one.orders.give("unlock", "meanwhile")
        assert line.connections <= 3
        await allow(one.heard)
        mark = len(one.heard.heard)
        line.cut_after(1)
        one.here.lock.turn(3)
        one.here.server.changed()
        await one.back(mark)
        assert one.orders.life("meanwhile") == []
        assert one.orders.acted == []
        await one.orders.obeyed("lock", "after")
        assert await running.stop() == 0


async def a_refused_subscription_is_asked_for_again(folder: Path) -> None:
    """On the same connection; a minute is shortened here."""
    login: dict[str, Any] = {"username": LOGIN["username"], "password": Secret(LOGIN["password"])}
    order = ConnectMqtt(None, (Subscription("nuki2mqtt/+/set"), Subscription("homeassistant/status")))
    async with (
        secured(folder, rule("subscribePattern", "nuki2mqtt/+/set", allow=False)) as broker,
        ear(broker, "#", **OTHER) as heard,
        linked(broker, order=order, timing=replace(QUICK, ask_again_s=0.5), **login) as one,
    ):
        await one.ready()
        await passes(1.5)
        await allow(heard)
        await passes(1.5)
        await heard.publish("nuki2mqtt/front_door/set", b"unlock")
        assert (await one.inbox.wait_for(MqttReceived, timeout_s=5)).payload == b"unlock"
        assert len(one.inbox.all(MqttSubscribed)) == 1


# --- All of them --------------------------------------------------------------------------------------------------

STORIES = {
    story.__name__: story
    for story in (
        a_refused_login,
        a_refused_base,
        a_refused_base_is_told_whole_once_it_may_be,
        a_refused_discovery,
        a_refusal_names_what_was_refused,
        all_subscriptions_are_refused,
        the_subscription_to_commands_is_refused,
        a_refused_subscription_is_asked_for_again,
    )
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def begun(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, "asyncio.Task[None]"]]:
    """The stories that were selected, begun together: each of them mostly waits."""
    async with told_at_once(selected(request, STORIES), tmp_path_factory.mktemp("refusals"), places=7) as tasks:
        yield tasks


@pytest.mark.parametrize("name", STORIES)
async def test_of(name: str, begun: dict[str, "asyncio.Task[None]"]) -> None:
    await begun[name]
