"""A whole gateway at work with Nuki's cloud beside its Bridges: what the cloud is asked is answered as `cloud` says.

Orders wait in `held` until the test answers them, and so does each kind of request in `holds`.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from nuki2mqtt.errors import BridgeError, WebError, WebErrorKind
from nuki2mqtt.gateway.cloud import Cloud
from nuki2mqtt.gateway.vocabulary import (
    CallBridge,
    CallWeb,
    DropWeb,
    Effect,
    Memory,
    MqttConnected,
    MqttSubscribed,
    Publish,
    WebAnswered,
    WebhookReceived,
    WebOrdered,
)
from nuki2mqtt.model.cloud_device import CloudDevice, CloudFacts
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.keypad import Authorization
from nuki2mqtt.model.state import DeviceState, Report
from nuki2mqtt.protocol.web_api import (
    ActivityAnswer,
    ActivityRequest,
    AuthorizationListAnswer,
    AuthorizationListRequest,
    DeviceActionRequest,
    DeviceAnswer,
    DeviceListAnswer,
    DeviceListRequest,
    DeviceRequest,
    DoneAnswer,
    WebAnswer,
    WebRequest,
)
from nuki2mqtt.protocol.webhooks import Hook
from tests.gateway.builders import CONFIG, LINK, LOCK, Hand, entry, only, state
from tests.gateway.cloud_desk import cloud_device
from tests.gateway.site import Site, failure

WIFI = NukiId(0x0C0C0C0C)
CLOUD_CONFIG = CONFIG + "nuki_web:\n  token: webtokenwebtoken\n  log: true\n"
BAD_GATEWAY = WebError(WebErrorKind.SERVER_ERROR, "as told")
OWNER = Authorization(id="5f" * 12, type=0, name="Ada")
ONLINE, OFFLINE = CloudFacts(server_state_code=0), CloudFacts(server_state_code=4)


def wifi(code: int, door: int | None = None, *, facts: CloudFacts = ONLINE, name: str = "Studio") -> CloudDevice:
    """A lock that no Bridge knows, as the cloud says it is."""
    return cloud_device(state(code, door), nuki_id=WIFI, facts=facts, name=name)


def twin(said: DeviceState, *, facts: CloudFacts = ONLINE) -> CloudDevice:
    """The lock of the Bridge, as the cloud says it is."""
    return cloud_device(said, nuki_id=LOCK, device_type=0, facts=facts)


@dataclass
class CloudSite(Site):
    """`web` is what the cloud was asked and when; `failing` how a kind of request fails."""

    cloud: dict[NukiId, CloudDevice] = field(default_factory=dict)
    authorizations: tuple[Authorization, ...] = (OWNER,)
    holds: set[type] = field(default_factory=set)
    failing: dict[type, WebError] = field(default_factory=dict)
    web: list[tuple[float, str]] = field(default_factory=list)
    web_orders: list[CallWeb] = field(default_factory=list)
    held: list[CallWeb] = field(default_factory=list)

    @classmethod
    def with_cloud(
        cls,
        *devices: CloudDevice,
        config: str = CLOUD_CONFIG,
        memory: Memory | None = None,
        reports: tuple[Report, ...] = (entry(state(1, 2), -3600),),
        infos: dict[str, BridgeError] | None = None,
        holds: Iterable[type] = (),
        started: float = 0.0,
        seconds: float = 3.0,
    ) -> Self:
        site = cls(Hand.with_config(config, memory, started=started), infos=dict(infos or {}), holds=set(holds))
        site.have(*devices)
        site.lists = {link: reports for link in site.hand.gateway._following.links}  # noqa: C420 - one list each
        site.take(site.hand.tell(MqttConnected("5")))
        site.take(site.hand.tell(MqttSubscribed()))
        site.wait(0.2)
        site.reconnect("5")
        site.wait(seconds)
        site.shown = len(site.effects)
        return site

    def have(self, *devices: CloudDevice) -> None:
        """From now on these are the devices of the account."""
        self.cloud = {device.report.nuki_id: device for device in devices}

    def silence_bridge(self) -> None:
        """The Bridge answers nothing from now on."""
        self.infos[LINK] = self.lists[LINK] = failure("timeout")

    def hear_bridge(self, *reports: Report) -> None:
        """The Bridge answers again, and lists these."""
        self.infos.clear()
        self.lists[LINK] = reports

    # --- Carrying -----------------------------------------------------------------------------------------------

    def take(self, effects: list[Effect]) -> None:
        waiting = list(effects)
        for _ in range(20_000):
            if not waiting:
                return
            effect = waiting.pop(0)
            self.effects.append(effect)
            match effect:
                case CallBridge():
                    waiting += self._call(effect)
                case CallWeb():
                    waiting += self._ask(effect)
                case DropWeb(call_id):
                    self.held = [call for call in self.held if call.call_id != call_id]
                case Publish() if self.has_broker:
                    waiting += self.hand.acknowledge([effect])
                case _:
                    pass
        raise AssertionError("the effects do not come to an end")

    def _ask(self, call: CallWeb) -> list[Effect]:
        kind = type(call.request)
        self.web.append((round(self.hand.now, 6), kind.__name__.removesuffix("Request")))
        effects = [] if call.not_after is None else self.hand.tell(WebOrdered(call.call_id, self.hand.monotonic))
        is_order = kind is DeviceActionRequest
        if is_order:
            self.web_orders.append(call)
        if kind in self.holds or (is_order and kind not in self.failing):
            self.held.append(call)
            return effects
        answer = self.failing.get(kind) or self._usual_of_web(call.request)
        return effects + self.hand.tell(WebAnswered(call.call_id, answer, self.hand.monotonic))

    def _usual_of_web(self, request: WebRequest) -> WebAnswer | WebError:
        match request:
            case DeviceListRequest():
                return DeviceListAnswer(tuple(self.cloud.values()))
            case DeviceRequest(number):
                found = [device for device in self.cloud.values() if device.smartlock_id == number]
                return DeviceAnswer(found[0]) if found else WebError(WebErrorKind.NOT_FOUND, "as told")
            case ActivityRequest():
                return ActivityAnswer(())
            case AuthorizationListRequest():
                return AuthorizationListAnswer(self.authorizations)
            case _:
                return DoneAnswer()

    def answer_web(self, kind: type, answer: WebAnswer | WebError | None = None) -> CallWeb:
        """Answer the oldest held request of this kind."""
        call = next(call for call in self.held if isinstance(call.request, kind))
        self.held.remove(call)
        given = self._usual_of_web(call.request) if answer is None else answer
        self.take(self.hand.tell(WebAnswered(call.call_id, given, self.hand.monotonic)))
        return call

    def wait_for_read(self, seconds: float) -> None:
        """Let time pass until a lock is to be woken."""
        end = self.hand.monotonic + seconds
        while not self.reads:
            assert self.hand.monotonic < end, "nobody wakes the lock"
            self.wait(1)

    def hook(self, *hooks: Hook) -> None:
        """A webhook with a right signature."""
        self.take(self.hand.tell(WebhookReceived(hooks, self.hand.monotonic)))

    def tick(self) -> int:
        """Let the timers of this one moment come to rest; how many there were."""
        for count in range(1000):
            deadline = self.hand.gateway.next_deadline()
            if deadline is None or deadline > self.hand.monotonic:
                return count
            self.take(self.hand.gateway.handle_timer(self.hand.moment))
        raise AssertionError("the timers of one moment do not come to rest")

    # --- What came of it ----------------------------------------------------------------------------------------

    @property
    def web_side(self) -> Cloud:
        side = self.hand.gateway._cloud
        assert side is not None
        return side

    def published(self, level: str, to: str = "front_door") -> list[bytes]:
        """All that was said on one topic of a device."""
        topic = f"nuki2mqtt/{to}/{level}" if level else f"nuki2mqtt/{to}"
        return [publish.payload for publish in only(self.effects, Publish) if publish.topic == topic]

    def shows(self, *names: str, to: str = "front_door") -> tuple[Any, ...]:
        """These facts of the last snapshot."""
        body = json.loads(next(payload for payload in reversed(self.published("", to)) if payload))
        return tuple(body[name] for name in names)

    def happened(self, to: str = "front_door") -> list[str]:
        """The types of all events so far."""
        return [json.loads(payload)["event_type"] for payload in self.published("event", to)]

    def happened_late(self, to: str = "front_door") -> list[str]:
        """The types of all events that were told as late ones."""
        return [json.loads(payload)["event_type"] for payload in self.published("event/late", to)]
