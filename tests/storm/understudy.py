"""What the service does with the cloud and keypad codes, as long as it does not do it itself: the link and the codes.

It lives and dies with its computer's process, has its own connection to the broker, and keeps its memory on the same
disk. It goes when `service.py` carries out `CallWeb`.
"""

import asyncio
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from nuki2mqtt.adapters.state_codec import StateContents, read_state, render_state
from nuki2mqtt.errors import WebError
from nuki2mqtt.gateway.keypad_steps import AskCloud, KeypadStep, SaveWishes, SayKeypad, SayResult
from nuki2mqtt.gateway.keypad_wishes import KeypadMemory
from nuki2mqtt.gateway.keypads import Keypads
from nuki2mqtt.gateway.vocabulary import CallWeb, DropWeb, Log, Memory, WebAnswered
from nuki2mqtt.gateway.web_link import WebLink
from nuki2mqtt.model.keypad_order import KeypadPhase, KeypadReason
from nuki2mqtt.protocol.command_payloads import BadCommand
from nuki2mqtt.protocol.keypad_payloads import (
    KeypadResult,
    parse_keypad_order,
    render_keypad,
    render_keypad_result,
)
from nuki2mqtt.protocol.web_api import DeviceListAnswer, WebAnswer
from tests.storm.broker import Filter, Line, Packet
from tests.storm.ports import LONG_S
from tests.storm.spec import BASE

if TYPE_CHECKING:
    from nuki2mqtt.gateway.web_jobs import WebEffect
    from tests.storm.computer import Computer

BACK_S = 5.0
_NEVER_S = 3600.0


class Understudy:
    """One life of it."""

    def __init__(self, computer: "Computer") -> None:
        self._computer = computer
        self._process = computer.process
        world = computer.world
        assert world.cloud is not None
        self._site = world.cloud
        self._web = computer.web()
        now = computer.moment()
        kept = Memory() if computer.web_state is None else read_state(computer.web_state).memory
        memory = KeypadMemory(kept.keypad_wishes, kept.keypad_operations, kept.keypad_syncs)
        self._keypads = Keypads(memory, now, entropy=lambda length: bytes(range(20, 20 + 5 * length, 5)))
        self._link = WebLink(computer.settings.nuki_web)
        self._link.start(now)
        self._inbox: asyncio.Queue[Packet | WebAnswered | str] = asyncio.Queue()
        self._asks: dict[int, int] = {}
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._line: Line | None = None
        self._names = {known.smartlock_id: name for name, known in self._site.names.items()}
        self._said: dict[int, bytes] = {}
        self._unsaid: deque[tuple[Packet, str | None]] = deque()

    async def run(self) -> None:
        """Live until cancelled."""
        self._connect()
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            while True:
                await self._turn()

    async def _turn(self) -> None:
        self._carry(self._link.handle_timer(self._now()))
        await self._step(self._keypads.handle_timer(self._now()))
        await self._ended()
        deadline = min(self._link.next_deadline() or _NEVER_S * 1e6, self._keypads.next_deadline())
        wait_s = deadline - self._now().monotonic
        try:
            async with asyncio.timeout(max(wait_s, 0.0)):
                event = await self._inbox.get()
        except TimeoutError:
            return
        match event:
            case Packet():
                await self._order(event)
            case WebAnswered():
                self._calls.pop(event.call_id, None)
                self._carry(self._link.handle_answer(event, self._now()))
            case str():
                await self._step(self._keypads.told(event))

    def _now(self):  # type: ignore[no-untyped-def]  # noqa: ANN202
        return self._computer.moment()

    # --- The cloud ----------------------------------------------------------------------------------------------------

    def _carry(self, effects: "list[WebEffect]") -> None:
        for effect in effects:
            match effect:
                case CallWeb():
                    self._calls[effect.call_id] = self._tasks.create_task(self._call(effect))
                case DropWeb(call_id):
                    task = self._calls.pop(call_id, None)
                    if task is not None:
                        task.cancel()
                case Log(level, text):
                    self._computer.world.watch.logged(f"{level} {text}")

    async def _call(self, call: CallWeb) -> None:
        answer: WebAnswer | WebError
        try:
            answer = await self._web.send(call.request, call.token)
        except WebError as error:
            answer = error
        received = self._computer.moment().monotonic
        self._inbox.put_nowait(WebAnswered(call.call_id, answer, received, self._computer.entropy.fraction()))

    async def _ended(self) -> None:
        for ended in self._link.take_ended():
            if ended.ask_id is None:
                if isinstance(ended.answer, DeviceListAnswer):
                    await self._step(self._keypads.hear_devices(ended.answer.devices, self._now()))
                continue
            call_id = self._asks.pop(ended.ask_id, None)
            if call_id is not None:
                await self._step(self._keypads.answered(call_id, ended.answer, self._now()))

    # --- Codes --------------------------------------------------------------------------------------------------------

    async def _order(self, packet: Packet) -> None:
        name = packet.topic.split("/")[1]
        known = self._site.names[name]
        if not packet.payload:
            return
        if packet.retain:
            self._refuse(name, None, None, KeypadReason.RETAINED)
            return
        try:
            order = parse_keypad_order(packet.payload, None)
        except BadCommand as error:
            self._refuse(name, error.transaction, error.word, KeypadReason.BAD_PAYLOAD)
            return
        await self._step(self._keypads.order(known.smartlock_id, order, self._now()))

    def _refuse(self, name: str, transaction: object, op: str | None, reason: KeypadReason) -> None:
        result = KeypadResult(transaction=transaction, op=op, phase=KeypadPhase.REFUSED, reason=reason)
        self._publish(Packet(f"{BASE}/{name}/keypad/result", render_keypad_result(result, publish_codes=False), 1))

    async def _step(self, steps: list[KeypadStep]) -> None:
        for step in steps:
            match step:
                case SaveWishes():
                    await self._save()
                case AskCloud():
                    ask = self._link.ask(step.request, self._now())
                    assert ask is not None
                    self._asks[ask] = step.call_id
                case SayResult():
                    topic = f"{BASE}/{self._names[step.operation.smartlock_id]}/keypad/result"
                    body = render_keypad_result(step.result, publish_codes=False)
                    self._publish(Packet(topic, body, 1), step.operation_id)
                case SayKeypad():
                    body = render_keypad(step.entries, publish_codes=False)
                    topic = f"{BASE}/{self._names[step.smartlock_id]}/keypad"
                    self._publish(Packet(topic, body, 1, retain=True))
                case Log():
                    self._computer.world.watch.logged(step.text)
            if not self._is_alive:
                await asyncio.Event().wait()
        if any(isinstance(step, AskCloud) for step in steps):
            self._carry(self._link.handle_timer(self._now()))

    async def _save(self) -> None:
        computer = self._computer
        memory = self._keypads.remember()
        await asyncio.sleep(computer.disk_s)
        if not self._is_alive:
            await asyncio.Event().wait()
        if computer.full_disks:
            computer.note_fault("disk_full")
            return
        if computer.disk_s > LONG_S:
            computer.note_fault("disk_slow")
        whole = replace(
            Memory(),
            keypad_wishes=memory.wishes,
            keypad_operations=memory.operations,
            keypad_syncs=memory.syncs,
        )
        computer.web_state = render_state(StateContents(computer.seed, computer.callback_secret, whole))

    # --- The broker ---------------------------------------------------------------------------------------------------

    @property
    def _is_alive(self) -> bool:
        return self._computer.is_alive and self._computer.process is self._process

    def _connect(self) -> None:
        world = self._computer.world
        if not self._is_alive:
            return
        try:
            self._line = world.broker.connect(
                f"{self._computer.client_id}-web",
                protocol=world.spec.protocol,
                deliver=self._heard,
                lost=lambda _: self._lost(),
            )
        except ConnectionRefusedError:
            world.later(BACK_S, self._connect)
            return
        self._line.subscribe(Filter(f"{BASE}/+/keypad/set", 1, retain_as_published=True))
        unsaid, self._unsaid = self._unsaid, deque()
        for packet, operation_id in unsaid:
            self._publish(packet, operation_id)

    def _heard(self, packet: Packet) -> None:
        if self._is_alive:
            self._computer.note_received(packet)
            self._inbox.put_nowait(packet)

    def _lost(self) -> None:
        self._line = None
        self._computer.world.later(BACK_S, self._connect)

    def _publish(self, packet: Packet, operation_id: str | None = None) -> None:
        if not self._is_alive:
            return
        line = self._line
        if line is None or not line.is_open:
            self._unsaid.append((packet, operation_id))
            return
        self._computer.note_published(packet)
        if not self._is_alive:
            return
        entry = packet, operation_id
        self._unsaid.append(entry)

        def acknowledged(_: int) -> None:
            if entry in self._unsaid:
                self._unsaid.remove(entry)
            if operation_id is not None:
                self._inbox.put_nowait(operation_id)

        line.publish(packet, acknowledged=acknowledged)
        self._computer.note_handed_over(packet)

    def die(self) -> None:
        """kill -9."""
        if self._line is not None and self._line.is_open:
            self._line.drop()
