"""A whole gateway at work: it owns its base, follows its Bridges and takes commands; Bridges answer as they are told.

What a Bridge is asked in any case (`/info`, `/list`, callbacks) is answered at once; orders and direct reads wait in
`orders` and `reads` until the test answers them.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Self

from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.gateway.vocabulary import (
    CallBridge,
    Effect,
    Memory,
    MqttConnected,
    MqttLost,
    MqttReceived,
    MqttSubscribed,
    Publish,
    Stop,
    StopRequested,
)
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.state import DeviceState, Report
from nuki2mqtt.protocol.bridge_api import (
    ActionAnswer,
    Answer,
    CallbackListAnswer,
    CallbackListRequest,
    InfoRequest,
    ListAnswer,
    ListRequest,
    LockActionRequest,
    LockStateAnswer,
    LockStateRequest,
    SuccessAnswer,
)
from tests.gateway.builders import BRIDGE_ID, CONFIG, LINK, LOCK, LOCKED, OPENER, Hand, called, entry, info, only, state

AT_REST = state(1, mode=2)
BOTH = (entry(LOCKED, -5), entry(AT_REST, -5, nuki_id=OPENER, device_type=2, name="Gate"))
YES, NO = ActionAnswer(success=True), ActionAnswer(success=False)
OTHER_BRIDGE = NukiId(0x0BADB01D)
READY_S = 3.0


def failure(kind: str) -> BridgeError:
    return BridgeError(BridgeErrorKind(kind), "as told")


@dataclass
class Site:
    """`lists` is what each Bridge's `/list` says, or how it fails; `said` all that was published."""

    hand: Hand
    lists: dict[str, tuple[Report, ...] | BridgeError] = field(default_factory=lambda: {LINK: BOTH})
    infos: dict[str, BridgeError] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    orders: list[CallBridge] = field(default_factory=list)
    reads: list[CallBridge] = field(default_factory=list)
    asked: list[tuple[float, str]] = field(default_factory=list)
    has_broker: bool = True
    shown: int = 0

    @classmethod
    def at_work(
        cls,
        config: str = CONFIG,
        memory: Memory | None = None,
        *,
        reports: tuple[Report, ...] = BOTH,
        started: float = 0.0,
        protocol: str = "5",
    ) -> Self:
        site = cls(Hand.with_config(config, memory, started=started))
        site.lists = {link: reports for link in site.hand.gateway._following.links}  # noqa: C420 - two Bridges, one list each
        site.take(site.hand.tell(MqttConnected(protocol)))
        site.take(site.hand.tell(MqttSubscribed()))
        site.wait(0.2)
        site.reconnect(protocol)
        site.wait(READY_S)
        site.shown = len(site.effects)
        return site

    # --- Carrying -----------------------------------------------------------------------------------------------

    def take(self, effects: list[Effect]) -> None:
        """Carry out effects, and those that follow."""
        waiting = list(effects)
        for _ in range(10_000):
            if not waiting:
                return
            effect = waiting.pop(0)
            self.effects.append(effect)
            if isinstance(effect, CallBridge):
                waiting += self._call(effect)
            elif isinstance(effect, Publish) and self.has_broker:
                waiting += self.hand.acknowledge([effect])
        raise AssertionError("the effects do not come to an end")

    def _call(self, call: CallBridge) -> list[Effect]:
        self.asked.append((round(self.hand.now, 6), type(call.request).__name__.removesuffix("Request")))
        if isinstance(call.request, LockActionRequest):
            self.orders.append(call)
        elif isinstance(call.request, LockStateRequest):
            self.reads.append(call)
        else:
            return self.hand.answer(call, self._usual(call), "192.0.2.5")
        return []

    def _usual(self, call: CallBridge) -> Answer | BridgeError:
        match call.request:
            case InfoRequest():
                own = BRIDGE_ID if call.link == LINK else OTHER_BRIDGE
                return self.infos.get(call.link) or info(self.hand.now, bridge_id=own)
            case ListRequest():
                listed = self.lists[call.link]
                return listed if isinstance(listed, BridgeError) else ListAnswer(listed)
            case CallbackListRequest():
                return CallbackListAnswer(())
            case _:
                return SuccessAnswer(success=True)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        end = self.hand.monotonic + seconds
        for _ in range(100_000):
            deadline = self.hand.gateway.next_deadline()
            if deadline is None or deadline > end + 1e-9 or only(self.effects, Stop):
                self.hand.monotonic = max(self.hand.monotonic, end)
                return
            self.hand.monotonic = max(self.hand.monotonic, deadline)
            self.take(self.hand.gateway.handle_timer(self.hand.moment))
        raise AssertionError("the timers do not come to rest")

    # --- Events -------------------------------------------------------------------------------------------------

    def reconnect(self, protocol: str = "5") -> None:
        """The connection to the broker is lost and made again."""
        self.lose()
        self.has_broker = True
        self.take(self.hand.tell(MqttConnected(protocol)))
        self.take(self.hand.tell(MqttSubscribed()))

    def lose(self) -> None:
        self.has_broker = False
        self.take(self.hand.tell(MqttLost("gone")))

    def stop(self) -> None:
        self.take(self.hand.tell(StopRequested()))

    def set(self, payload: object, to: str = "front_door", **fields: Any) -> None:
        """A command; what is not text is sent as JSON."""
        self.receive(f"nuki2mqtt/{to}/set", payload, **fields)

    def get(self, payload: object = "x", to: str = "front_door", **fields: Any) -> None:
        self.receive(f"nuki2mqtt/{to}/get", payload, **fields)

    def request(self, verb: str, payload: object = "x", **fields: Any) -> None:
        self.receive(f"nuki2mqtt/gateway/request/{verb}", payload, **fields)

    def receive(self, topic: str, payload: object, **fields: Any) -> None:
        body = payload if isinstance(payload, bytes) else payload.encode() if isinstance(payload, str) else None
        body = json.dumps(payload).encode() if body is None else body
        self.take(self.hand.tell(MqttReceived(topic, body, **fields)))

    def call_back(self, said: DeviceState, nuki_id: NukiId = LOCK, link: str = LINK) -> None:
        """A callback; `/list` says the same from then on."""
        self.list_says(said, self.hand.now, nuki_id, link)
        device_type = 2 if nuki_id == OPENER else 0
        self.take(self.hand.tell_callback(called(said, nuki_id=nuki_id, device_type=device_type), link))

    def answer(self, answer: Answer | BridgeError) -> CallBridge:
        """Answer the oldest order."""
        call = self.orders.pop(0)
        self.take(self.hand.answer(call, answer))
        return call

    def answer_read(self, answer: DeviceState | BridgeError | None) -> CallBridge:
        """Answer the oldest direct read; None: the device was not reached."""
        call = self.reads.pop(0)
        said = answer if isinstance(answer, BridgeError) else LockStateAnswer(answer is not None, answer)
        self.take(self.hand.answer(call, said))
        return call

    def list_says(self, said: DeviceState, at: float, nuki_id: NukiId = LOCK, link: str = LINK) -> None:
        """From now on `/list` tells this of a device, with this timestamp."""
        before = self.lists[link]
        assert not isinstance(before, BridgeError)
        device_type, name = (2, "Gate") if nuki_id == OPENER else (0, "Front door")
        new = entry(said, at, nuki_id=nuki_id, device_type=device_type, name=name)
        self.lists[link] = tuple(new if report.nuki_id == nuki_id else report for report in before)

    # --- What came of it ----------------------------------------------------------------------------------------

    @property
    def sent(self) -> list[tuple[NukiId, int]]:
        """All orders on the wire so far, as (device, action's number)."""
        requests = (call.request for call in only(self.effects, CallBridge))
        return [(request.nuki_id, request.code) for request in requests if isinstance(request, LockActionRequest)]

    def times(self, kind: str, since: float = 0.0) -> list[float]:
        """When requests of a kind went out, in seconds from a moment of the time line."""
        return [round(time - since, 6) for time, name in self.asked if name == kind and time > since - 0.001]

    def results(self, to: str = "front_door") -> list[dict[str, Any]]:
        """All results of a device so far."""
        topic = f"nuki2mqtt/{to}/result"
        return [json.loads(publish.payload) for publish in only(self.effects, Publish) if publish.topic == topic]

    def told(self, to: str = "front_door") -> list[tuple[str, str | None]]:
        """All results so far, as (status, reason or evidence)."""
        return [(result["status"], result["reason"] or result["evidence"]) for result in self.results(to)]

    def events(self, to: str = "front_door") -> list[dict[str, Any]]:
        """The failures that were told as events."""
        topic = f"nuki2mqtt/{to}/event"
        events = [json.loads(publish.payload) for publish in only(self.effects, Publish) if publish.topic == topic]
        return [event for event in events if event["event_type"] == "command_failed"]

    def new(self, kind: type) -> list[Any]:
        """The effects of a kind since the last time this was asked."""
        effects, self.shown = self.effects[self.shown :], len(self.effects)
        return only(effects, kind)

    @property
    def memory(self) -> Memory:
        """What the state file holds."""
        return self.hand.gateway._memory
