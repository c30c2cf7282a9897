"""Keypad orders of a person under way: each sent once, on the first connection that hears its results, or never.

An order that the gateway has taken is kept there and goes on without us, for days if the lock is away. What could not
be heard is not known; the list on `<device>/keypad` tells it later.
"""

import asyncio
import json
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nuki2mqtt.adapters.log_output import register_secret
from nuki2mqtt.adapters.mqtt_link import MqttEvent, MqttLink
from nuki2mqtt.errors import MqttError
from nuki2mqtt.faces.keypad_words import KeypadStep, harmless, read_step
from nuki2mqtt.faces.listed import Listed
from nuki2mqtt.faces.outcome import EXIT_NOBODY, EXIT_UNKNOWN, Ending
from nuki2mqtt.faces.retained import BROKER_S, EVENTS_LIMIT, read_object
from nuki2mqtt.faces.setup import EXIT_FAILED, EXIT_OK
from nuki2mqtt.faces.terminal import printable, say
from nuki2mqtt.gateway.vocabulary import MqttLost, MqttPublished, MqttReceived, MqttRefused, MqttSubscribed, Publish
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.payloads import ONLINE
from nuki2mqtt.protocol.topics import TopicTree

ANSWER_S = 15.0  # a gateway says at once that it has taken an order, when the state file holds it
_SHOWN_KEYS = ("transaction", "op", "status", "phase", "id", "name", "reason", "detail")
_ONCE = "Orders are sent once and never again."


@dataclass(slots=True)
class Placed:
    """One order for one lock, and how far it is."""

    device: Listed
    payload: bytes = field(repr=False)
    transaction: str
    is_taken: bool = False  # the broker has it
    step: KeypadStep | None = None
    status: int | None = None
    was_code_shown: bool = False

    @property
    def topic(self) -> str:
        """How its lines begin."""
        return printable(self.device.topic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How to wait and what to show. `wait_s` None: until the gateway has taken it; `is_drawn`: it chooses the code."""

    wait_s: float | None
    answer_s: float = ANSWER_S
    as_json: bool = False
    show_codes: bool = False
    is_drawn: bool = False


class KeypadOrders:
    """All orders of one command line; `take` gets the events of their connection, `run` tells what becomes of them."""

    def __init__(self, tree: TopicTree, placed: Sequence[Placed], manner: Manner, ending: Ending) -> None:
        self._tree = tree
        self._placed = placed
        self._manner = manner
        self._ending = ending
        self._by_result = {self._result_topic(one): one for one in placed}
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[MqttEvent] = asyncio.Queue(EVENTS_LIMIT)
        self._link: MqttLink | None = None
        self._begun = self._loop.time()
        self._may_send = True
        self._sent_at: float | None = None
        self._was_cut = False  # the connection broke after the sending
        self._is_away = False  # the gateway said that it is offline

    @property
    def topics(self) -> tuple[str, ...]:
        """What must be heard before anything is sent."""
        return self._tree.gateway_state, *self._by_result

    def _result_topic(self, one: Placed) -> str:
        return f"{self._tree.device(one.device.topic)}/keypad/result"

    def _set_topic(self, one: Placed) -> str:
        return f"{self._tree.device(one.device.topic)}/keypad/set"

    async def take(self, event: MqttEvent) -> None:
        """Send at the first subscription, within its own connection; hand everything on."""
        if isinstance(event, MqttLost):
            self._may_send = False
        elif isinstance(event, MqttSubscribed) and self._may_send and self._link is not None:
            self._may_send = False
            self._sent_at = self._loop.time()
            self._ending.was_sent = True  # from here on nobody can be sure that it was not
            for number, one in enumerate(self._placed, start=1):
                self._link.publish(Publish(number, self._set_topic(one), one.payload, qos=1, retain=False))
        await self._events.put(event)

    async def run(self, link: MqttLink) -> int:
        """Wait for the ends; gives the exit status."""
        self._link = link
        try:
            self._ending.status = await self._wait()
        except asyncio.CancelledError:
            if self._ending.was_sent and self._ending.status is None:
                self._explain_signal()
            raise
        else:
            return self._ending.status
        finally:
            self._may_send = False

    # --- Waiting ------------------------------------------------------------------------------------------------------

    async def _wait(self) -> int:
        while (deadline := self._deadline()) is not None and self._loop.time() < deadline:
            try:
                async with asyncio.timeout_at(deadline):
                    event = await self._events.get()
            except TimeoutError:
                continue  # the deadline moves when the orders are sent, and when one is taken
            self._handle(event)
        self._may_send = False
        if self._sent_at is None:
            raise MqttError(f"no answer within {BROKER_S:.0f} s")
        for one in self._open():
            self._explain_silence(one)
        return self._status()

    def _open(self) -> list[Placed]:
        """Those of which more is waited for."""
        is_short = self._manner.wait_s is None
        return [one for one in self._placed if one.status is None and not (is_short and one.step is not None)]

    def _deadline(self) -> float | None:
        """When all waiting ends; None if nothing is waited for any more."""
        if self._sent_at is None:
            return self._begun + BROKER_S
        return max((self._sent_at + self._patience_s(one) for one in self._open()), default=None)

    def _patience_s(self, one: Placed) -> float:
        wait_s = self._manner.answer_s if self._manner.wait_s is None else self._manner.wait_s
        return min(wait_s, self._manner.answer_s) if self._is_unheard(one) else wait_s

    def _is_unheard(self, one: Placed) -> bool:
        return one.step is None and one.is_taken and not self._was_cut

    def _handle(self, event: MqttEvent) -> None:
        match event:
            case MqttLost(reason) if self._sent_at is None:
                raise MqttError(reason)
            case MqttLost(reason):
                self._was_cut = True
                text = f"{_ONCE} Their results are waited for."
                say(f"The connection to the broker broke: {printable(reason)}. {text}", is_trouble=True)
            case MqttSubscribed() if self._was_cut:
                say("Connected again, listening.", is_trouble=True)
            case MqttPublished(number) if 0 < number <= len(self._placed):
                self._placed[number - 1].is_taken = True
            case MqttRefused(number, reason) if 0 < number <= len(self._placed):
                one = self._placed[number - 1]
                one.status = EXIT_FAILED
                say(
                    f"{one.topic}: the broker does not take the order: {printable(reason)}. Nothing was done.",
                    is_trouble=True,
                )
            case MqttReceived(topic, payload) if topic == self._tree.gateway_state:
                self._hear_gateway(payload)
            case MqttReceived(topic, payload) if topic in self._by_result:
                self._hear(self._by_result[topic], payload)
            case _:
                pass

    def _hear_gateway(self, payload: bytes) -> None:
        is_away = payload != ONLINE
        if is_away is not self._is_away:
            self._is_away = is_away
            text = (
                "The gateway went offline. What it has taken is kept in its state file and goes on when it is back."
                if is_away
                else "The gateway is online again."
            )
            say(text, is_trouble=True)

    def _hear(self, one: Placed, payload: bytes) -> None:
        body = read_object(payload)
        if one.status is not None or body.get("transaction") != one.transaction:
            return  # ended already, or somebody else's
        step = read_step(body)
        if step is None:
            return
        is_new = one.step is None or one.step.what != step.what
        one.step, one.status = step, step.exit_status
        if not self._open():
            self._ending.status = self._status()
        code = self._code_to_show(one, step)
        if self._manner.as_json:
            shown = {key: self._value(key, body.get(key)) for key in _SHOWN_KEYS}
            spoken = {} if code is None else {"code": code.reveal()}
            if is_new or spoken:
                say(json.dumps({"lock": one.device.topic, **shown, **spoken}))
            return
        if code is not None:
            note = "shown once, here" if self._manner.is_drawn else "as the gateway says it"
            say(f"{one.topic}: the code is {code.reveal()} ({note}); it opens when it is confirmed")
        if is_new:
            say(f"{one.topic}: {step}")

    def _code_to_show(self, one: Placed, step: KeypadStep) -> Secret | None:
        """A code that nobody knows yet, or that somebody wants to see; once."""
        if one.was_code_shown or step.code is None or not (self._manner.is_drawn or self._manner.show_codes):
            return None
        register_secret(step.code)
        one.was_code_shown = True
        return step.code

    @staticmethod
    def _value(key: str, value: Any) -> Any:
        return harmless(value) if key in {"reason", "detail"} and isinstance(value, str) else value

    # --- The end ------------------------------------------------------------------------------------------------------

    def _status(self) -> int:
        """One that failed counts most, then one that is not known; nobody has answered where none did."""
        statuses = {self._status_of(one) for one in self._placed}
        if EXIT_FAILED in statuses:
            return EXIT_FAILED
        if statuses == {EXIT_NOBODY}:
            return EXIT_NOBODY
        return EXIT_OK if statuses == {EXIT_OK} else EXIT_UNKNOWN

    def _status_of(self, one: Placed) -> int:
        if one.status is not None:
            return one.status
        return EXIT_NOBODY if self._is_unheard(one) else EXIT_UNKNOWN

    def _explain_silence(self, one: Placed) -> None:
        waited = f"within {self._loop.time() - (self._sent_at or 0.0):.0f} s"
        if self._is_unheard(one):
            text = (
                f"nobody answered {waited}, though the broker took the order. May this user write "
                f"{self._set_topic(one)} and read {self._result_topic(one)}, and does this gateway manage keypad "
                f"codes (`nuki_web.keypad.manage`)? See its log. {_ONCE}"
            )
        elif one.step is not None:
            cut = " (it may have come while the connection was broken)" if self._was_cut else ""
            text = (
                f"under way: its end was not heard {waited}{cut}. The gateway keeps the order and goes on by itself, "
                f"for days if need be; see later with {look_later(one)}"
            )
        elif one.is_taken:
            text = (
                f"unknown: the broker took the order, and no result was heard {waited}. {_ONCE} See {look_later(one)}"
            )
        else:
            text = f"unknown: the broker did not say {waited} whether it has the order. {_ONCE} See {look_later(one)}"
        say(f"{one.topic}: {text}", is_trouble=True)

    def _explain_signal(self) -> None:
        number = self._ending.signal
        is_person = number is None or number == signal.SIGINT
        why = "Interrupted." if is_person else f"unknown: ended by {signal.Signals(number or 0).name}."
        say(f"{why} What was sent goes on without us and is not taken back.", is_trouble=True)
        for one in self._placed:
            if one.status is None:
                far = "not heard of yet" if one.step is None else "under way"
                say(f"{one.topic}: {far}; see later with {look_later(one)}", is_trouble=True)


def look_later(one: Placed) -> str:
    """The command that tells how far it is."""
    return f"`nuki2mqtt keypad list --lock {one.topic}`"
