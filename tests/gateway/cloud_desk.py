"""A link to the cloud in the hand: virtual time, and answers that the test gives.

The time line is that of `builders`.
"""

from dataclasses import dataclass, field

from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.gateway.vocabulary import CallWeb, DropWeb, Log, WebAnswered
from nuki2mqtt.gateway.web_jobs import WebEffect, WebEnded
from nuki2mqtt.gateway.web_link import WebLink
from nuki2mqtt.model.cloud_device import CloudDevice, CloudFacts, smartlock_id_of
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.model.state import DeviceState, Report, Source
from nuki2mqtt.protocol.settings import NukiWebSettings
from nuki2mqtt.protocol.web_api import (
    ActivityAnswer,
    ActivityRequest,
    DeviceActionRequest,
    DeviceAnswer,
    DeviceListAnswer,
    DeviceListRequest,
    DeviceRequest,
    DoneAnswer,
    WebAnswer,
    WebRequest,
)
from tests.gateway.builders import LOCK, ZERO, moment, state

LOCK_ID = smartlock_id_of(4, LOCK)
NO_DEVICES = DeviceListAnswer(())
FAILURES = {
    WebErrorKind.SERVER_ERROR: WebError(WebErrorKind.SERVER_ERROR, "HTTP 502: a page of HTML"),
    WebErrorKind.TOKEN_REFUSED: WebError(WebErrorKind.TOKEN_REFUSED, "HTTP 401"),
}


def cloud_device(
    said: DeviceState | None = None,
    *,
    nuki_id: NukiId = LOCK,
    device_type: int = 4,
    facts: CloudFacts | None = None,
    name: str | None = "Front door",
) -> CloudDevice:
    report = Report(nuki_id=nuki_id, source=Source.WEB, device_type=device_type, name=name, state=said)
    facts = CloudFacts(server_state_code=0) if facts is None else facts
    return CloudDevice(smartlock_id_of(device_type, nuki_id), report, facts)


def usual_answer(request: WebRequest) -> WebAnswer:
    match request:
        case DeviceListRequest():
            return NO_DEVICES
        case DeviceRequest():
            return DeviceAnswer(cloud_device(state(1)))
        case ActivityRequest():
            return ActivityAnswer(())
        case _:
            return DoneAnswer()


@dataclass
class Desk:
    """The link's time and its answers: `answer` the call under way, or `run` with answers by type of request."""

    link: WebLink = field(default_factory=lambda: WebLink(NukiWebSettings(token=Secret("first-token"))))
    at: float = 0.0
    under_way: CallWeb | None = None
    sent: list[tuple[float, str]] = field(default_factory=list)
    logs: list[Log] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    ended: list[WebEnded] = field(default_factory=list)
    failing: dict[type, WebError] = field(default_factory=dict)
    answer_s: float = 0.2
    chance: float = 0.5

    def start(self) -> "Desk":
        self.link.start(moment(self.at))
        self.tick()
        return self

    def tick(self) -> None:
        """Let the link do what is due now."""
        self._take(self.link.handle_timer(moment(self.at)))

    def _take(self, effects: list[WebEffect]) -> None:
        for effect in effects:
            match effect:
                case CallWeb():
                    assert self.under_way is None, "two requests at once"
                    self.under_way = effect
                    self.sent.append((round(self.at, 3), type(effect.request).__name__.removesuffix("Request")))
                case DropWeb(call_id):
                    assert self.under_way is not None
                    assert self.under_way.call_id == call_id
                    self.dropped.append(call_id)
                    self.under_way = None
                case Log():
                    self.logs.append(effect)
        self.ended += self.link.take_ended()

    def answer(self, answer: WebAnswer | WebError | None = None) -> None:
        """Answer what is under way, now."""
        assert self.under_way is not None
        call, self.under_way = self.under_way, None
        given = self.failing.get(type(call.request), usual_answer(call.request)) if answer is None else answer
        self._take(self.link.handle_answer(WebAnswered(call.call_id, given, None, self.chance), moment(self.at)))
        self.tick()

    def run(self, until: float) -> "Desk":
        """Everything is answered after `answer_s`, as usual or failing."""
        while True:
            deadline = self.link.next_deadline()
            answered = None if self.under_way is None else self.at + self.answer_s
            times = [time for time in (None if deadline is None else deadline - ZERO, answered) if time is not None]
            if not times or min(times) > until:
                self.at = until
                return self
            step = max(min(times), self.at)
            self.at = step
            if answered is not None and step == answered:
                self.answer()
            else:
                self.tick()

    def times_of(self, name: str) -> list[float]:
        return [at for at, sent in self.sent if sent == name]

    def ends_of(self, ask_id: int | None) -> list[WebAnswer | WebError]:
        return [one.answer for one in self.ended if one.ask_id == ask_id]

    def texts(self) -> list[tuple[str, str]]:
        return [(str(log.level), log.text) for log in self.logs]


def unlock() -> DeviceActionRequest:
    return DeviceActionRequest(LOCK_ID, 1)
