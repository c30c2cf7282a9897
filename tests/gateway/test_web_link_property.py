"""The link against the simulated cloud, in virtual time: through any faults it keeps its manners and comes back."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.gateway.vocabulary import CallWeb, DropWeb, Log, Moment, WebAnswered
from nuki2mqtt.gateway.web_jobs import WebEffect, WebEnded
from nuki2mqtt.gateway.web_link import WebLink
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.settings import NukiWebSettings
from nuki2mqtt.protocol.web_api import (
    ActivityRequest,
    AuthorizationListRequest,
    DeviceActionRequest,
    DeviceListAnswer,
    DeviceListRequest,
    DeviceRequest,
    WebAnswer,
    WebRequest,
    headers_of,
    read_response,
)
from nuki2mqtt.simulator.bridge import Ending
from nuki2mqtt.simulator.web_faults import CloudFaults
from nuki2mqtt.simulator.web_routes import SCOPES
from tests.simulator.cloud_site import NOW, TOKEN, CloudSite, make_site

TIMEOUT_S = 30.0


def moment(at: float) -> Moment:
    return Moment(at - NOW, datetime.fromtimestamp(at, UTC))


@dataclass
class Wire:
    """The link, the cloud, and one connection between them."""

    site: CloudSite = field(default_factory=make_site)
    link: WebLink = field(default_factory=lambda: WebLink(NukiWebSettings(token=Secret(TOKEN))))
    now: float = NOW
    under_way: tuple[float, WebAnswered] | None = None
    sent: list[tuple[float, str, str]] = field(default_factory=list)
    ended: list[WebEnded] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def take(self, effects: list[WebEffect]) -> None:
        for effect in effects:
            match effect:
                case CallWeb():
                    assert self.under_way is None, "two requests at once"
                    self.under_way = self.call(effect)
                case DropWeb():
                    assert self.under_way is not None
                    self.under_way = None
                case Log(level, text) if level == "warning":
                    self.warnings.append(text)
                case Log():
                    pass
        self.ended += self.link.take_ended()

    def call(self, call: CallWeb) -> tuple[float, WebAnswered]:
        request = call.request
        assert call.not_after is None or self.now - NOW <= call.not_after
        self.sent.append((self.now, request.method, request.path))
        body = request.body() or b""
        answer = self.site.cloud.answer(
            request.method, request.path, request.query(), headers_of(call.token, has_body=bool(body)), body, self.now
        )
        said: WebAnswer | WebError
        delay_s = min(answer.delay_s, TIMEOUT_S)
        if answer.ending is not Ending.ANSWERED:
            kinds = {Ending.REFUSED: WebErrorKind.REFUSED, Ending.RESET: WebErrorKind.RESET}
            said = WebError(kinds.get(answer.ending, WebErrorKind.TIMEOUT))
        else:
            try:
                retry_after = answer.headers.get("Retry-After")
                said = read_response(request, answer.status, answer.body, retry_after=retry_after)
            except WebError as error:
                said = error
        return self.now + delay_s, WebAnswered(call.call_id, said)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            deadline = self.link.next_deadline()
            timer = inf if deadline is None else NOW + deadline
            answered = inf if self.under_way is None else self.under_way[0]
            if min(timer, answered) > end:
                break
            self.now = max(min(timer, answered), self.now)
            if self.under_way is not None and answered <= timer:
                event, self.under_way = self.under_way[1], None
                self.take(self.link.handle_answer(event, moment(self.now)))
            else:
                self.take(self.link.handle_timer(moment(self.now)))
        self.now = end


FAULTS = ("proxy_error", "throttle", "silent", "reset_connections", "refuse_connections", "garbage", "refuse_token")
steps = st.tuples(st.sampled_from(["fault", "log", "auths", "look", "order", "hint", "rest"]), st.integers(0, 6))


def begin(faults: CloudFaults, number: int) -> Any:
    if FAULTS[number] == "garbage":
        return faults.garbage("/smartlock", b"<html>Sign in</html>").begin()
    return getattr(faults, FAULTS[number])().begin()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(steps, st.floats(0, 90)), max_size=20))
def test_through_any_faults_everything_ends_once_and_the_polls_come_back(
    story: list[tuple[tuple[str, int], float]],
) -> None:
    wire = Wire()
    lock_id = wire.site.front.smartlock_id
    wire.link.start(moment(wire.now))
    asked: list[int] = []
    orders = 0
    active: Any = None
    for (what, number), wait_s in story:
        now = moment(wire.now)
        if what == "fault":
            if active is not None:
                active.end()
            active = begin(wire.site.cloud.faults, number)
        elif what == "hint":
            wire.link.bring_list_forward(now)
        elif what != "rest":
            requests: dict[str, WebRequest] = {
                "log": ActivityRequest(lock_id),
                "auths": AuthorizationListRequest(lock_id),
                "look": DeviceRequest(lock_id),
                "order": DeviceActionRequest(lock_id, 2),
            }
            request = requests[what]
            orders += what == "order"
            ask_id = wire.link.ask(request, now, not_after=now.monotonic + 60)
            assert ask_id is not None
            asked.append(ask_id)
        wire.run(wait_s)
    if active is not None:
        active.end()
    wire.run(2 * 3600)
    begun = wire.now
    wire.run(600)

    assert sorted(one.ask_id for one in wire.ended if one.ask_id is not None) == asked
    assert sum(method == "POST" for _, method, _ in wire.sent) <= orders  # nothing that acts is sent twice
    polls = [at for at, _, path in wire.sent if path == "/smartlock" and at >= begun]
    assert len(polls) in {10, 11}
    assert isinstance(wire.ended[-1].answer, DeviceListAnswer)
    health = wire.link.health(wire.now - NOW)
    assert (health.problem, health.reachable, health.queue) == (None, True, 0)
    # What was refused and never asked for again may still stand there; the polls are asked for.
    assert DeviceListRequest.scope not in health.scopes_missing


def test_a_token_that_may_only_read_leaves_the_rest_of_the_day_alone() -> None:
    """A missing scope costs one request now and then, and one warning, whatever is wanted of it."""
    wire = Wire()
    wire.site.cloud.tokens[TOKEN] = frozenset(SCOPES) - {"smartlock.log", "smartlock.auth"}
    wire.link.start(moment(wire.now))
    lock_id = wire.site.front.smartlock_id
    for _ in range(24 * 60):
        wire.link.ask(ActivityRequest(lock_id), moment(wire.now))
        wire.run(60)
    logs = [at for at, _, path in wire.sent if path.endswith("/log")]

    assert len(logs) == 26  # at once, after a minute, a quarter of an hour, then each hour
    assert (len(wire.warnings), len(wire.sent) - len(logs)) == (1, 24 * 60 + 1)
    assert wire.link.health(0).scopes_missing == ("smartlock.log",)
