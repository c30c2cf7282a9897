"""A `Following` on the time line, whose Bridges answer as usual or as they are told to."""

from dataclasses import dataclass

from nuki2mqtt.errors import BridgeError
from nuki2mqtt.gateway.following import Following
from nuki2mqtt.gateway.vocabulary import (
    BridgeAnswered,
    CallBridge,
    Effect,
    Memory,
)
from nuki2mqtt.model.bridge import CallbackSlot
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.model.state import Report
from nuki2mqtt.protocol.bridge_api import (
    Answer,
    CallbackListAnswer,
    CallbackListRequest,
    InfoRequest,
    ListAnswer,
    ListRequest,
    LockStateAnswer,
    LockStateRequest,
    SuccessAnswer,
)
from tests.gateway.builders import (
    BRIDGE_ID,
    CONFIG,
    LINK,
    LOCK,
    LOCKED,
    ZERO,
    entry,
    info,
    moment,
    only,
    read,
)

TWO = "version: 1\nbridges:\n  - {host: 192.0.2.10, token: abcdef}\n  - {host: 192.0.2.11, token: abcdef}\n"


@dataclass
class Scene:
    """A `Following` on the time line, with Bridges that answer what they are told to."""

    following: Following
    now: float = 0.0
    reports: tuple[Report, ...] = (entry(LOCKED, -5),)

    @classmethod
    def of(cls, config: str = CONFIG, *, in_container: bool = False) -> "Scene":
        following = Following(
            read(config),
            Memory(),
            instance="1234abcd",
            callback_secret=Secret("5ecret"),
            in_container=in_container,
            started=ZERO,
        )
        return cls(following)

    def activate(self) -> list[Effect]:
        return self.following.activate(moment(self.now))

    def answer(
        self, call: CallBridge, answer: Answer | BridgeError, local_host: str | None = "192.0.2.5"
    ) -> list[Effect]:
        host = None if isinstance(answer, BridgeError) else local_host
        return self.following.handle_answer(BridgeAnswered(call.link, call.call_id, answer, host), moment(self.now))

    def usual(self, call: CallBridge) -> Answer:
        match call.request:
            case InfoRequest():
                return info(self.now, bridge_id=BRIDGE_ID if call.link == LINK else NukiId(0x0BADB01D))
            case ListRequest():
                return ListAnswer(self.reports)
            case LockStateRequest():
                return LockStateAnswer(success=True, state=LOCKED)
            case CallbackListRequest():
                own = self.following.callback_of(call.link)
                return CallbackListAnswer(() if own is None else (CallbackSlot(0, own.url().reveal()),))
            case _:
                return SuccessAnswer(success=True)

    def next_calls(self) -> list[CallBridge]:
        deadline = self.following.next_deadline(ZERO + self.now)
        assert deadline is not None
        self.now = max(self.now, deadline - ZERO)
        return only(self.following.handle_timer(moment(self.now)), CallBridge)

    def run(self, until: float) -> list[Effect]:
        """Answer everything as usual until then."""
        effects = list[Effect]()
        while (deadline := self.following.next_deadline(ZERO + self.now)) is not None and deadline <= ZERO + until:
            self.now = max(self.now, deadline - ZERO)
            new = self.following.handle_timer(moment(self.now))
            effects += new
            for call in only(new, CallBridge):
                effects += self.answer(call, self.usual(call))
        self.now = until
        return effects

    def until(self, kind: type) -> CallBridge:
        """Answer as usual until a request of this kind is sent."""
        for _ in range(200):
            for call in self.next_calls():
                if isinstance(call.request, kind):
                    return call
                self.answer(call, self.usual(call))
        raise AssertionError("no such request was sent")

    def is_fresh(self, nuki_id: NukiId = LOCK) -> bool:
        return not self.following.snapshot(nuki_id, moment(self.now)).stale

    @property
    def happened(self) -> list[str]:
        return [happening.event.event_type.value for happening in self.following.take_events()]


def followed(config: str = CONFIG, *, until: float = 5) -> Scene:
    scene = Scene.of(config)
    scene.activate()
    scene.following.door_opened(8321, moment(0))
    scene.run(until)
    return scene
