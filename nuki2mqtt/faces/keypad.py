"""`nuki2mqtt keypad`: list, add, change, remove, enable and disable keypad codes through the running gateway.

It speaks MQTT only: it reads what is retained, and gives orders as anybody may. Everything that can be wrong is looked
for before a byte is sent. A code is shown only where it was drawn and the gateway says it, or where that is asked for.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nuki2mqtt.adapters.clock import SystemClock, SystemEntropy
from nuki2mqtt.adapters.log_output import configure_logging
from nuki2mqtt.adapters.mqtt_link import Timing
from nuki2mqtt.errors import MqttError
from nuki2mqtt.faces.keypad_asked import LIKE_A_CODE, KeypadAsk, Wanted, read_wanted
from nuki2mqtt.faces.keypad_code import NotAsked
from nuki2mqtt.faces.keypad_lists import ListedCode, read_codes, render_codes, render_table
from nuki2mqtt.faces.keypad_wait import ANSWER_S, KeypadOrders, Manner, Placed
from nuki2mqtt.faces.listed import Listed, explain_not_found, find, read_devices, shown_name
from nuki2mqtt.faces.outcome import EXIT_NOBODY, Ending
from nuki2mqtt.faces.retained import (
    TIMING,
    Retained,
    explain_nobody,
    read_object,
    read_retained,
    running_link,
)
from nuki2mqtt.faces.setup import EXIT_FAILED, EXIT_OK, Setup
from nuki2mqtt.faces.signals import Signals
from nuki2mqtt.faces.terminal import printable, say
from nuki2mqtt.model.keypad_order import KeypadOp
from nuki2mqtt.protocol.payloads import ONLINE
from nuki2mqtt.protocol.settings import MqttSettings
from nuki2mqtt.protocol.topics import TopicTree

_LOG = logging.getLogger("nuki2mqtt")


@dataclass(frozen=True, slots=True)
class _House:
    """What is retained: `devices` is None where the list cannot be read, `keypad` are the gateway's settings."""

    tree: TopicTree
    retained: Retained
    devices: tuple[Listed, ...] | None
    keypad: Mapping[str, Any]

    @property
    def is_online(self) -> bool:
        return self.retained.messages.get(self.tree.gateway_state) == ONLINE

    def codes(self, device: Listed) -> tuple[ListedCode, ...] | None:
        return read_codes(self.retained.messages.get(f"{self.tree.device(device.topic)}/keypad"))

    def choose(self, names: Sequence[str]) -> tuple[Listed, ...]:
        """The devices that are meant, each once; raises NotAsked."""
        if self.devices is None:
            raise NotAsked(f"{self.tree.gateway_devices} holds no list of devices; see the gateway's log")
        chosen: dict[str, Listed] = {}
        wrong = []
        for name in names:
            found = find(self.devices, name)
            if len(found) == 1:
                chosen[found[0].topic] = found[0]
            else:
                wrong.append(explain_not_found(self.devices, found, name))
        if wrong:
            raise NotAsked(*wrong)
        return tuple(chosen.values())


def keypad(setup: Setup, ask: KeypadAsk, *, answer_s: float = ANSWER_S, timing: Timing = TIMING) -> int:
    """Do what is asked for; the exit status says how it ended."""
    configure_logging(setup.settings.log.level, setup.settings.log.format, setup.secrets)
    if ask.op is None:
        return _list(setup, ask, timing)
    try:
        wanted = read_wanted(ask, SystemClock().now().wall)
    except NotAsked as error:
        return _refuse(error)
    secrets = [*setup.secrets, *([] if wanted.code is None else [wanted.code])]
    configure_logging(setup.settings.log.level, setup.settings.log.format, secrets)
    ending = Ending()
    with Signals(ending) as signals:
        try:
            ending.status = asyncio.run(_order(setup, ask, wanted, answer_s, timing, ending, signals))
        except asyncio.CancelledError:
            if not ending.was_sent:
                say("Interrupted. Nothing was sent.", is_trouble=True)
        except Exception as error:  # noqa: BLE001 - the last resort of the process
            with contextlib.suppress(Exception):
                _explain_failure(error, ending)
    return ending.exit_status


def _refuse(error: NotAsked) -> int:
    for objection in error.objections:
        say(objection, is_trouble=True)
    say("Nothing was sent.", is_trouble=True)
    return EXIT_FAILED


def _explain_failure(error: Exception, ending: Ending) -> None:
    if isinstance(error, MqttError) and not ending.was_sent:
        say(f"No connection to the broker, nothing was sent. {printable(str(error))}", is_trouble=True)
        return
    _LOG.error("This is a mistake in nuki2mqtt: please report it with these lines.", exc_info=error)
    if ending.status is None and ending.was_sent:
        text = "unknown: this program failed. What was sent goes on without us; see `nuki2mqtt keypad list`"
        say(text, is_trouble=True)


async def _read(mqtt: MqttSettings, tree: TopicTree, timing: Timing) -> _House:
    lists = f"{tree.device('+')}/keypad"
    topics = (tree.gateway_state, tree.gateway_info, tree.gateway_devices, lists)
    retained = await read_retained(mqtt, "keypad", topics, timing=timing)
    devices = read_devices(retained.messages.get(tree.gateway_devices))
    settings: Any = read_object(retained.messages.get(tree.gateway_info)).get("settings")
    for key in ("nuki_web", "keypad"):
        settings = settings.get(key) if isinstance(settings, dict) else None
    return _House(tree, retained, devices, settings if isinstance(settings, dict) else {})


def _tree(mqtt: MqttSettings, setup: Setup) -> TopicTree:
    return TopicTree(mqtt.base_topic, setup.settings.homeassistant.prefix)


# --- Orders -----------------------------------------------------------------------------------------------------------


async def _order(
    setup: Setup, ask: KeypadAsk, wanted: Wanted, answer_s: float, timing: Timing, ending: Ending, signals: Signals
) -> int:
    signals.cancel(asyncio.current_task())
    mqtt = setup.settings.mqtt
    tree = _tree(mqtt, setup)
    house = await _read(mqtt, tree, timing)
    if not house.is_online:
        say(explain_nobody(mqtt, house.retained, tree), is_trouble=True)
        return EXIT_NOBODY
    try:
        placed = _place(house, ask, wanted)
    except NotAsked as error:
        return _refuse(error)
    manner = Manner(
        wait_s=ask.wait_s, answer_s=answer_s, as_json=ask.as_json, show_codes=ask.show_codes, is_drawn=ask.draws
    )
    orders = KeypadOrders(tree, placed, manner, ending)
    async with running_link(mqtt, "keypad", orders.topics, orders.take, timing=timing) as link:
        return await orders.run(link)


def _place(house: _House, ask: KeypadAsk, wanted: Wanted) -> list[Placed]:
    """One order for each lock; raises NotAsked, so that all are sent or none."""
    if house.keypad.get("manage") is False:
        text = "this gateway changes no keypad codes: set `nuki_web.token` and `nuki_web.keypad.manage: true` there"
        raise NotAsked(text)
    if ask.draws and house.keypad.get("publish_codes") is False:
        text = (
            "the gateway publishes no codes (`nuki_web.keypad.publish_codes`), so that nobody would learn a drawn one: "
            "choose one yourself"
        )
        raise NotAsked(text)
    placed, objections, now = [], [], SystemClock().now().wall
    for device in house.choose(ask.locks):
        former = _former(house, device, wanted)
        transaction = SystemEntropy().token(8)
        try:
            placed.append(Placed(device, _payload(wanted, former, transaction, now), transaction))
        except NotAsked as error:
            objections += [f"{printable(device.topic)}: {one}" for one in error.objections]
    if objections:
        raise NotAsked(*objections)
    return placed


def _payload(wanted: Wanted, former: ListedCode | None, transaction: str, now: datetime) -> bytes:
    if wanted.op is not KeypadOp.CREATE and former is None and LIKE_A_CODE.fullmatch(wanted.name or ""):
        raise NotAsked("a code is named by its name or ID, never by its digits")
    return wanted.order(former, transaction, now)


def _former(house: _House, device: Listed, wanted: Wanted) -> ListedCode | None:
    """The one code of the list that is meant."""
    found = [code for code in house.codes(device) or () if wanted.is_meant(code)]
    return found[0] if len(found) == 1 else None


# --- The list ---------------------------------------------------------------------------------------------------------


def _list(setup: Setup, ask: KeypadAsk, timing: Timing) -> int:
    mqtt = setup.settings.mqtt
    tree = _tree(mqtt, setup)
    try:
        house = asyncio.run(_read(mqtt, tree, timing))
    except MqttError as error:
        say(f"No connection to the broker. {printable(str(error))}", is_trouble=True)
        return EXIT_FAILED
    try:
        chosen = house.choose(ask.locks) if ask.locks else _with_lists(house)
    except NotAsked as error:
        if not house.is_online:
            say(explain_nobody(mqtt, house.retained, tree).replace("Nothing was sent. ", ""), is_trouble=True)
            return EXIT_NOBODY
        for objection in error.objections:
            say(objection, is_trouble=True)
        return EXIT_FAILED
    lists = {device.topic: house.codes(device) for device in chosen}
    if ask.as_json:
        say(json.dumps(_body(house, chosen, lists, show_codes=ask.show_codes)))
    else:
        _say_tables(chosen, lists, show_codes=ask.show_codes)
    return _judge(house, lists, ask)


def _with_lists(house: _House) -> tuple[Listed, ...]:
    """All devices that anything is retained of."""
    if house.devices is None:
        return house.choose(())
    topics = house.retained.messages
    return tuple(one for one in house.devices if f"{house.tree.device(one.topic)}/keypad" in topics)


def _say_tables(
    chosen: Sequence[Listed], lists: Mapping[str, tuple[ListedCode, ...] | None], *, show_codes: bool
) -> None:
    now = SystemClock().now().wall
    for device in chosen:
        codes = lists[device.topic]
        count = "no list" if codes is None else f"{len(codes)} code{'' if len(codes) == 1 else 's'}"
        say(f"{printable(device.topic)} ({shown_name(device)}): {count}")
        for line in () if codes is None else render_table(codes, now, None, show_codes=show_codes):
            say(line)


def _judge(house: _House, lists: Mapping[str, tuple[ListedCode, ...] | None], ask: KeypadAsk) -> int:
    """Say what is wrong with what was shown; gives the exit status."""
    if not house.is_online:
        say("No gateway is online: this may be old. Start the service, or see its log.", is_trouble=True)
        return EXIT_NOBODY
    if not lists:
        text = (
            "No lock has a list of keypad codes. The gateway needs `nuki_web.token` with the scope `smartlock.auth`, "
            "a lock with a Keypad, and some seconds after its start; `nuki2mqtt status` shows what is wrong with it."
        )
        say(text, is_trouble=True)
        return EXIT_FAILED
    missing = [topic for topic, codes in lists.items() if codes is None]
    for topic in missing:
        text = (
            "there is no list of its keypad codes that can be read. Has it a Keypad, and is it in the account of "
            "`nuki_web.token`?"
        )
        say(f"{printable(topic)}: {text}", is_trouble=True)
    if ask.show_codes and not any(code.code for codes in lists.values() for code in codes or ()):
        say("No code is published: see `nuki_web.keypad.publish_codes`.", is_trouble=True)
    return EXIT_FAILED if missing else EXIT_OK


def _body(
    house: _House,
    chosen: Sequence[Listed],
    lists: Mapping[str, tuple[ListedCode, ...] | None],
    *,
    show_codes: bool,
) -> dict[str, Any]:
    locks = []
    for device in chosen:
        codes = lists[device.topic]
        shown = None if codes is None else render_codes(codes, show_codes=show_codes)
        locks.append({"id": str(device.nuki_id), "topic": device.topic, "name": device.name, "codes": shown})
    return {"online": house.is_online, "locks": locks}
