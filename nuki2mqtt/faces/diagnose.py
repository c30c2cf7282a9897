"""`nuki2mqtt diagnose`: all that somebody needs who shall find out what is wrong, as one JSON object without secrets.

What this machine knows is always said; what the running gateway knows is asked for by MQTT, by the request
`diagnostics`. No Bridge and no lock is asked.
"""

import asyncio
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from nuki2mqtt import __version__
from nuki2mqtt.adapters.clock import SystemClock, SystemEntropy
from nuki2mqtt.adapters.container import is_in_container
from nuki2mqtt.adapters.heartbeat import is_fresh
from nuki2mqtt.adapters.log_output import configure_logging
from nuki2mqtt.adapters.mqtt_link import MqttEvent, Timing
from nuki2mqtt.adapters.state_dir import HEARTBEAT
from nuki2mqtt.errors import MqttError
from nuki2mqtt.faces.retained import (
    BROKER_S,
    EVENTS_LIMIT,
    TIMING,
    Retained,
    next_event,
    read_object,
    read_retained,
    running_link,
)
from nuki2mqtt.faces.setup import EXIT_FAILED, EXIT_OK, Setup
from nuki2mqtt.faces.terminal import printable, say
from nuki2mqtt.gateway.vocabulary import MqttLost, MqttReceived, MqttRefused, MqttSubscribed, Publish
from nuki2mqtt.protocol.payloads import ONLINE
from nuki2mqtt.protocol.settings import MqttSettings
from nuki2mqtt.protocol.topics import TopicTree

ANSWER_S = 10.0
_MESSAGE_ID = 1
_MOST_FILES = 50
_PACKAGES = ("aiohttp", "aiomqtt", "amqtt", "cattrs", "paho-mqtt", "PyNaCl", "PyYAML", "zeroconf")
_PRIVATE = (
    "No password, token or code is in it, but names, addresses and IDs of your house are: look through it before you "
    "show it to others."
)


@dataclass(frozen=True, slots=True)
class Heard:
    """What the broker and the gateway said. `trouble` says why something is missing, with the next step."""

    protocol: str | None = None
    retained: Mapping[str, bytes] | None = None
    diagnostics: dict[str, Any] | None = None
    trouble: str | None = None


def diagnose(setup: Setup, *, answer_s: float = ANSWER_S, timing: Timing = TIMING) -> int:
    """Print the report; status 0 if a running gateway has its part in it, 1 otherwise."""
    configure_logging(setup.settings.log.level, setup.settings.log.format, setup.secrets)
    tree = TopicTree(setup.settings.mqtt.base_topic, setup.settings.homeassistant.prefix)
    heard = asyncio.run(_listen(setup.settings.mqtt, tree, answer_s, timing))
    is_read = say(json.dumps(render_report(setup, heard, tree), indent=2))
    if heard.trouble is not None:
        say(f"The gateway's part is missing. {heard.trouble}", is_trouble=True)
    say(_PRIVATE, is_trouble=True)
    return EXIT_OK if heard.trouble is None and is_read else EXIT_FAILED


# --- What the gateway says ----------------------------------------------------------------------------------------


async def _listen(mqtt: MqttSettings, tree: TopicTree, answer_s: float, timing: Timing) -> Heard:
    where = f"{mqtt.base_topic} at {mqtt.host}:{mqtt.port}"
    topics = (tree.gateway_state, tree.gateway_info, tree.gateway_health)
    try:
        retained = await read_retained(mqtt, "diagnose", topics, timing=timing)
    except MqttError as error:
        return Heard(trouble=f"No connection to the broker: {printable(str(error))}")
    if retained.messages.get(tree.gateway_state) != ONLINE:
        trouble = (
            f"No gateway is online on {where}. Is the service running, with this broker and this `mqtt.base_topic`, "
            "and may this user read there?"
        )
        return Heard(retained.protocol, retained.messages, trouble=trouble)
    try:
        return await _ask(mqtt, tree, retained, answer_s, timing)
    except MqttError as error:
        trouble = f"The connection to the broker broke: {printable(str(error))}"
        return Heard(retained.protocol, retained.messages, trouble=trouble)


async def _ask(mqtt: MqttSettings, tree: TopicTree, retained: Retained, answer_s: float, timing: Timing) -> Heard:
    """The request, said once, and its answer; raises MqttError where the connection breaks."""
    ask_topic, answer_topic = f"{mqtt.base_topic}/gateway/request/diagnostics", tree.response("diagnostics")
    transaction = SystemEntropy().token(8)
    order = Publish(_MESSAGE_ID, ask_topic, json.dumps({"transaction": transaction}).encode(), qos=1, retain=False)
    events: asyncio.Queue[MqttEvent] = asyncio.Queue(EVENTS_LIMIT)
    loop = asyncio.get_running_loop()
    until, was_sent = loop.time() + BROKER_S, False
    trouble = (
        f"No answer on {answer_topic} within {answer_s:g} s. May this user write {ask_topic} and read "
        f"{answer_topic}? "
        "See the gateway's log."
    )
    async with running_link(mqtt, "diagnose", (answer_topic,), events.put, timing=timing) as link:
        while (event := await next_event(events, until)) is not None:
            match event:
                case MqttLost(reason):
                    raise MqttError(reason)
                case MqttSubscribed() if not was_sent:
                    link.publish(order)
                    until, was_sent = loop.time() + answer_s, True
                case MqttRefused(_, reason):
                    trouble = f"The broker does not take {ask_topic}: {printable(reason)}"
                    break
                case MqttReceived(topic, payload) if topic == answer_topic:
                    body = read_object(payload)
                    if body.get("transaction") == transaction:
                        return _read_answer(body, retained)
                case _:
                    pass
    return Heard(retained.protocol, retained.messages, trouble=trouble)


def _read_answer(body: dict[str, Any], retained: Retained) -> Heard:
    data = body.get("data")
    if body.get("status") == "ok" and isinstance(data, dict):
        return Heard(retained.protocol, retained.messages, diagnostics=data)
    error = printable(str(body.get("error") or "it gave no reason"))
    return Heard(retained.protocol, retained.messages, trouble=f"The gateway refused it: {error}")


# --- The report ---------------------------------------------------------------------------------------------------


def render_report(setup: Setup, heard: Heard, tree: TopicTree) -> dict[str, Any]:
    """The report as a JSON object: `program`, `settings`, `state`, `broker`, `gateway`, `trouble`."""
    mqtt, messages = setup.settings.mqtt, heard.retained or {}
    state = messages.get(tree.gateway_state)
    return {
        "made": SystemClock().now().wall.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "program": _program(),
        "settings": setup.settings.render_public(),
        "warnings": list(setup.settings.warnings),
        "state": _state(setup.state_dir),
        "broker": {"address": f"{mqtt.host}:{mqtt.port}", "protocol": heard.protocol},
        "gateway": {
            "state": None if state is None else printable(state.decode(errors="replace"), 40),
            "info": read_object(messages.get(tree.gateway_info)) or None,
            "health": read_object(messages.get(tree.gateway_health)) or None,
            "diagnostics": heard.diagnostics,
        },
        "trouble": heard.trouble,
    }


def _program() -> dict[str, Any]:
    return {
        "version": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "machine": platform.machine(),
        "in_container": is_in_container(),
        "packages": {name: _version_of(name) for name in _PACKAGES},
    }


def _version_of(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _state(folder: Path) -> dict[str, Any]:
    """The state folder by names and sizes: what is in the files is nobody's business."""
    try:
        with os.scandir(folder) as entries:
            files = {entry.name: entry.stat(follow_symlinks=False).st_size for entry in entries}
    except OSError as error:
        return {"folder": str(folder), "trouble": error.strerror, "alive": False, "files": {}}
    return {
        "folder": str(folder),
        "trouble": None if os.access(folder, os.W_OK) else "not writable for this user",
        "alive": is_fresh(folder / HEARTBEAT),
        "files": dict(sorted(files.items())[:_MOST_FILES]),
    }
