"""`nuki2mqtt act`: give one command to the running gateway and wait for its end.

A command is published once, on the first connection that hears its results, or never: when the connection breaks
afterwards, the next one only listens. What could not be heard is unknown, and the door must be looked at.

The exit status comes from what became of the command alone, so that no script takes a door that was opened for one that
was not: neither output that cannot be written nor a mistake or a signal after the sending makes it "failed".
"""

import asyncio
import contextlib
import json
import logging
import signal
from datetime import UTC, datetime

from nuki2mqtt.adapters.clock import SystemClock, SystemEntropy
from nuki2mqtt.adapters.log_output import configure_logging
from nuki2mqtt.adapters.mqtt_link import MqttEvent, MqttLink, Timing
from nuki2mqtt.errors import MqttError
from nuki2mqtt.faces.listed import Listed, explain_not_found, find, read_devices
from nuki2mqtt.faces.outcome import EXIT_NOBODY, EXIT_UNKNOWN, LOOK, Ending, read_step
from nuki2mqtt.faces.retained import (
    BROKER_S,
    EVENTS_LIMIT,
    TIMING,
    explain_nobody,
    read_object,
    read_retained,
    running_link,
)
from nuki2mqtt.faces.setup import EXIT_FAILED, Setup
from nuki2mqtt.faces.signals import Signals
from nuki2mqtt.faces.terminal import printable, say
from nuki2mqtt.gateway.vocabulary import MqttLost, MqttPublished, MqttReceived, MqttRefused, MqttSubscribed, Publish
from nuki2mqtt.protocol.payloads import ONLINE
from nuki2mqtt.protocol.settings import CommandSettings, Settings
from nuki2mqtt.protocol.topics import TopicTree

# What a command may take beside `confirm_s`: it waits for `ttl_s` (60 s at most), or is repeated for a minute if it
# closes; its request has 60 s, and the reads that look where the answer says too little have less than that.
BEFORE_S = 60.0
REQUEST_S = 60.0
READS_S = 60.0
# A gateway says `accepted` or `refused` at once. After `ttl_s` it would refuse a command that it gets only then.
ANSWER_MARGIN_S = 5.0
MESSAGE_ID = 1
_LOG = logging.getLogger("nuki2mqtt")


def default_wait_s(commands: CommandSettings) -> float:
    """Longer than a command can live in the gateway with these settings."""
    return BEFORE_S + REQUEST_S + commands.confirm_s + READS_S


def act(setup: Setup, device: str, action: str, *, wait_s: float | None, as_json: bool, timing: Timing = TIMING) -> int:
    """Give the command; the exit status says how it ended. `wait_s` None is `default_wait_s`."""
    settings = setup.settings
    configure_logging(settings.log.level, settings.log.format, setup.secrets)
    wait_s = default_wait_s(settings.commands) if wait_s is None else wait_s
    ending = Ending()
    with Signals(ending) as signals:
        try:
            ending.status = asyncio.run(
                _act(
                    settings,
                    device,
                    action,
                    wait_s=wait_s,
                    as_json=as_json,
                    timing=timing,
                    ending=ending,
                    signals=signals,
                )
            )
        except asyncio.CancelledError:
            if not ending.was_sent:
                say("Interrupted. Nothing was sent.", is_trouble=True)
        except Exception as error:  # noqa: BLE001 - the last resort of the process
            with contextlib.suppress(Exception):
                _explain_failure(error, ending)
    return ending.exit_status


def _explain_failure(error: Exception, ending: Ending) -> None:
    if isinstance(error, MqttError) and not ending.was_sent:
        say(f"No connection to the broker, nothing was sent. {printable(str(error))}", is_trouble=True)
        return
    _LOG.error("This is a mistake in nuki2mqtt: please report it with these lines.", exc_info=error)
    if ending.status is None and ending.was_sent:
        text = "this program failed. The command was sent, goes on without us and is not sent again."
        say(f"unknown: {text} {LOOK}", is_trouble=True)


async def _act(
    settings: Settings,
    device: str,
    action: str,
    *,
    wait_s: float,
    as_json: bool,
    timing: Timing,
    ending: Ending,
    signals: Signals,
) -> int:
    signals.cancel(asyncio.current_task())
    tree = TopicTree(settings.mqtt.base_topic, settings.homeassistant.prefix)
    topics = (tree.gateway_state, tree.gateway_devices)
    retained = await read_retained(settings.mqtt, "act", topics, timing=timing)
    if retained.messages.get(tree.gateway_state) != ONLINE:
        say(explain_nobody(settings.mqtt, retained, tree), is_trouble=True)
        return EXIT_NOBODY
    devices = read_devices(retained.messages.get(tree.gateway_devices))
    if devices is None:
        text = f"{tree.gateway_devices} holds no list of devices. Nothing was sent. See the gateway's log."
        say(text, is_trouble=True)
        return EXIT_FAILED
    found = find(devices, device)
    if len(found) != 1:
        say(explain_not_found(devices, found, device), is_trouble=True)
        return EXIT_FAILED
    objection = found[0].objection(action)
    if objection is not None:
        say(objection, is_trouble=True)
        return EXIT_FAILED
    ttl_s = settings.commands.ttl_s
    command = _Command(tree, found[0], action, wait_s=wait_s, ttl_s=ttl_s, as_json=as_json, ending=ending)
    result_topic = tree.result(found[0].topic)
    async with running_link(settings.mqtt, "act", (result_topic,), command.take, timing=timing) as link:
        return await command.run(link)


class _Command:
    """One command; `take` gets the events of its connection, `run` tells what becomes of it."""

    def __init__(
        self,
        tree: TopicTree,
        device: Listed,
        action: str,
        *,
        wait_s: float,
        ttl_s: float,
        as_json: bool,
        ending: Ending,
    ) -> None:
        self._result_topic = tree.result(device.topic)
        self._set_topic = f"{tree.device(device.topic)}/set"
        self._action = action
        self._transaction = SystemEntropy().token(8)
        self._wait_s = wait_s
        self._answer_s = min(wait_s, ttl_s + ANSWER_MARGIN_S)
        self._as_json = as_json
        self._ending = ending
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[MqttEvent] = asyncio.Queue(EVENTS_LIMIT)
        self._link: MqttLink | None = None
        self._begun = self._loop.time()
        self._may_send = True
        self._sent_at: float | None = None
        self._is_taken = False  # the broker has it
        self._was_cut = False  # the connection broke after the sending
        self._was_accepted = False

    async def take(self, event: MqttEvent) -> None:
        """Send at the first subscription, within its own connection; hand everything on."""
        if isinstance(event, MqttLost):
            self._may_send = False
        elif isinstance(event, MqttSubscribed) and self._may_send and self._link is not None:
            self._may_send = False
            order = Publish(MESSAGE_ID, self._set_topic, self._payload(), qos=1, retain=False)
            self._sent_at = self._loop.time()
            self._ending.was_sent = True  # from here on nobody can be sure that it was not
            self._link.publish(order)
        await self._events.put(event)

    def _payload(self) -> bytes:
        at = SystemClock().now().wall
        order = {"action": self._action, "transaction": self._transaction, "ts": render_ts(at)}
        return json.dumps(order).encode()

    async def run(self, link: MqttLink) -> int:
        """Wait for the end; gives the exit status."""
        self._link = link
        try:
            self._ending.status = await self._wait()
        except asyncio.CancelledError:
            if self._ending.was_sent and self._ending.status is None:
                say(f"{self._explain_signal()} The command was sent and goes on without us. {LOOK}", is_trouble=True)
            raise
        else:
            return self._ending.status
        finally:
            self._may_send = False

    def _explain_signal(self) -> str:
        number = self._ending.signal
        if number is None or number == signal.SIGINT:
            return "Interrupted."
        return f"unknown: ended by {signal.Signals(number).name}."

    async def _wait(self) -> int:
        while self._loop.time() < self._deadline():
            try:
                async with asyncio.timeout_at(self._deadline()):
                    event = await self._events.get()
            except TimeoutError:
                continue  # the deadline moves when the command is sent
            status = self._handle(event)
            if status is not None:
                return status
        self._may_send = False
        return self._explain_silence()

    def _deadline(self) -> float:
        if self._sent_at is None:
            return self._begun + BROKER_S
        is_unheard = self._is_taken and not self._was_cut and not self._was_accepted
        return self._sent_at + (self._answer_s if is_unheard else self._wait_s)

    def _handle(self, event: MqttEvent) -> int | None:
        match event:
            case MqttLost(reason) if self._sent_at is None:
                raise MqttError(reason)
            case MqttLost(reason):
                self._was_cut = True
                text = "The command is not sent again; its result is waited for."
                say(f"The connection to the broker broke: {printable(reason)}. {text}", is_trouble=True)
            case MqttSubscribed() if self._was_cut:
                say("Connected again, listening.", is_trouble=True)
            case MqttPublished():
                self._is_taken = True
            case MqttRefused(_, reason):
                say(f"The broker does not take the command: {printable(reason)}. Nothing was done.", is_trouble=True)
                return EXIT_FAILED
            case MqttReceived(topic, payload) if topic == self._result_topic:
                return self._hear(payload)
            case _:
                pass
        return None

    def _hear(self, payload: bytes) -> int | None:
        body = read_object(payload)
        if body.get("transaction") != self._transaction:
            return None  # somebody else's
        step = read_step(body)
        if step is None:
            return None
        self._was_accepted = True  # or refused: the gateway is there
        self._ending.status = step.exit_status
        say(json.dumps(body) if self._as_json else str(step))
        return step.exit_status

    def _explain_silence(self) -> int:
        if self._sent_at is None:
            raise MqttError(f"no answer within {BROKER_S:.0f} s")
        waited = f"within {self._loop.time() - self._sent_at:.0f} s"
        if self._is_taken and not self._was_cut and not self._was_accepted:
            say(
                f"Nobody answered {waited}, though the broker took the command. May this user write "
                f"{self._set_topic} and read {self._result_topic}? See the gateway's log. {LOOK}",
                is_trouble=True,
            )
            return EXIT_NOBODY
        if self._was_accepted:
            why = f"the gateway took the command, and its end was not heard {waited}"
        elif self._is_taken:
            why = f"the broker took the command, and no result was heard {waited}"
        else:
            why = f"the broker did not say {waited} whether it has the command"
        say(f"unknown: {why}. It was sent once and is not sent again. {LOOK}", is_trouble=True)
        return EXIT_UNKNOWN


def render_ts(at: datetime) -> str:
    """UTC with milliseconds and a Z, as the contract asks of a `ts`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
