"""Nuki's cloud: what to ask it next, and how it fares.

One request at a time. Orders go before looks for their sake, those before the poll of all devices (one call), that
before writes, before what others ask to read. What is urgent does not wait for a slow read either: that is dropped and
asked again. The poll is the pulse: when it fails, nothing but it and what is urgent goes out, after a growing delay;
when something else fails, the poll is brought forward to see. Only the poll is repeated here; whoever asked for
something else gets its end, always, and decides.

A refused token (401), or a refused right (403), concerns one scope, of one device where a 403 names one: it is told
once, and what needs that scope ends refused without a request until it is tried again, rarely. Orders are always tried.
A `Retry-After` is for everything; a 429 without one spares orders.

Nothing here waits for anything local, and nothing local waits for this.
"""

from dataclasses import dataclass, replace
from math import inf

from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.gateway import web_problems
from nuki2mqtt.gateway.callback_watch import CallbackWatch
from nuki2mqtt.gateway.vocabulary import CallWeb, DropWeb, Level, Log, Moment, WebAnswered
from nuki2mqtt.gateway.web_jobs import (
    URGENT,
    WaitingJobs,
    WebEffect,
    WebEnded,
    WebJob,
    WebJobKind,
    job_kind_of,
)
from nuki2mqtt.gateway.web_refusals import WebRefusals
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.settings import NukiWebSettings
from nuki2mqtt.protocol.web_api import DeviceListRequest, WebAnswer, WebRequest, hide_web_secrets

GAP_S = 0.25  # nobody's client is known to ask faster than this
OVERTAKE_AFTER_S = 2.0  # a usual answer takes less
HINT_DELAY_S = 1.0
HINT_GAP_S = 5.0  # other clients refuse to poll faster (web reference 1.3)
SLOW_POLL_S = 300.0  # while webhooks flow
HOOK_TRUST_S = 86_400.0  # after a day without any nobody knows whether they are still registered
RETRIES_S = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
THROTTLE_RETRIES_S = (60.0, 120.0, 240.0, 480.0, 900.0)
_PULSE_DELAY_S = 2.0
_SPREAD = 0.5  # of a delay, around it
_MOST_TOKENS = 8
_TROUBLE = frozenset(
    {
        WebErrorKind.REFUSED,
        WebErrorKind.TIMEOUT,
        WebErrorKind.RESET,
        WebErrorKind.SERVER_ERROR,
        WebErrorKind.UNEXPECTED_STATUS,
        WebErrorKind.UNREADABLE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebHealth:
    """What `gateway/health` says of the cloud. `reachable` is None before the first answer, times are in seconds."""

    reachable: bool | None
    problem: str | None
    requests: int
    failures: int
    throttled: int
    forced_syncs: int
    scopes_missing: tuple[str, ...]
    refused_devices: tuple[NukiId, ...]
    queue: int
    poll_age_s: float | None
    poll_s: float
    has_webhooks: bool


def _spread(delay_s: float, chance: float) -> float:
    return delay_s * (1 + _SPREAD * (min(max(chance, 0.0), 1.0) - 0.5))


def _step(steps: tuple[float, ...], count: int) -> float:
    return steps[min(count, len(steps)) - 1]


class WebLink:
    """The queue, cadence and health of the cloud. Times are monotonic seconds."""

    def __init__(self, settings: NukiWebSettings) -> None:
        self.token = settings.token
        self.problem: str | None = None
        self.requests = 0
        self.failures = 0
        self.throttled = 0
        self.forced_syncs = 0
        self.last_poll: float | None = None  # when the last good one was sent
        self._settings = settings
        self._tokens = [] if settings.token is None else [settings.token]  # all that was used in this run
        self._is_active = False
        self._is_released = False
        self._is_reachable: bool | None = None
        self._waiting = WaitingJobs()
        self._asks = 0
        self._calls = 0
        self._judges_since = 0  # the first call whose answer says something of the present token
        self._in_flight: tuple[int, WebJob, float] | None = None
        self._ended: list[WebEnded] = []
        self._list_due = inf
        self._list_sent = -inf
        self._gap_until = -inf
        self._closed_until = -inf  # for all but orders
        self._shut_until = -inf  # for everything: the cloud has asked for it
        self._poll_failures = 0
        self._problem_kind: WebErrorKind | None = None
        self._throttles = 0
        self._refusals = WebRefusals()
        self._hook_came: float | None = None
        self._watch = CallbackWatch()

    # --- Switching ----------------------------------------------------------------------------------------------------

    def start(self, now: Moment) -> None:
        """Begin to poll; without a token nothing is ever asked."""
        if self.token is not None and not self._is_active:
            self._is_active = True
            self._list_due = now.monotonic

    def stop(self) -> list[WebEffect]:
        """Ask nothing more; an answer under way is ignored."""
        self._is_active = False
        effects: list[WebEffect] = []
        if self._in_flight is not None and self._in_flight[1].request.method == "GET":
            effects.append(DropWeb(self._in_flight[0]))
        self._in_flight = None
        self._waiting.clear()
        self._ended.clear()
        self._list_due = inf
        return effects

    def release(self) -> None:
        """The gateway stops: nothing new is asked, an answer under way is still taken."""
        self._is_released = True
        self._waiting.clear()
        self._list_due = inf

    def replace_token(self, token: Secret, now: Moment) -> None:
        """Use another token from now on: what was refused is tried again at once."""
        self.token = token
        self._tokens = [*self._tokens[-_MOST_TOKENS:], token]
        self._judges_since = self._calls + 1
        self._refusals.clear()
        if not self._is_active:
            self.start(now)
        elif self._poll_failures == 0:
            self._list_due = now.monotonic

    @property
    def is_active(self) -> bool:
        """Whether requests go out at all."""
        return self._is_active

    @property
    def is_in_trouble(self) -> bool:
        """Whether the last poll failed, but not for want of a scope."""
        return self._poll_failures > 0

    # --- Wishes -------------------------------------------------------------------------------------------------------

    def ask(
        self, request: WebRequest, now: Moment, *, due: float | None = None, not_after: float | None = None
    ) -> int | None:
        """Send this once, between these times; its `WebEnded` has the number. None if that cannot be."""
        if not self._is_active or self._is_released:
            return None
        self._asks += 1
        when = now.monotonic if due is None else due
        job = WebJob(job_kind_of(request), request, self._asks, when, not_after)
        return self._asks if self._waiting.put(job) else None

    def withdraw(self, ask_id: int) -> None:
        """Do not send it any more; its end is not told."""
        self._waiting.withdraw(ask_id)

    def is_waiting(self, ask_id: int) -> bool:
        """Whether it has not gone out yet."""
        return self._waiting.has(ask_id)

    def bring_list_forward(self, now: Moment) -> None:
        """A hint came: poll soon, never later than planned, and never against a delay after failures."""
        self._hint(now.monotonic + HINT_DELAY_S, HINT_GAP_S)

    def ask_list_now(self, now: Moment) -> None:
        """Somebody waits for what the poll says, as after a command."""
        self._hint(now.monotonic, HINT_DELAY_S)

    def _hint(self, soon: float, gap_s: float) -> None:
        if self._is_active and not self.is_in_trouble and not self.is_refused(DeviceListRequest.scope, soon):
            self._list_due = min(self._list_due, max(soon, self._list_sent + gap_s))

    def hook_came(self, now: Moment, nuki_id: NukiId | None = None) -> None:
        """A webhook with a right signature was taken, about this device."""
        self._hook_came = now.monotonic
        if nuki_id is not None:
            self._watch.told_by_callback(nuki_id)

    def told_by_poll(self, nuki_id: NukiId, now: Moment) -> None:
        """A poll was the first to tell a change: a webhook should have."""
        if self.has_webhooks(now.monotonic):
            self._watch.told_by_list(nuki_id, now.monotonic)

    def has_webhooks(self, now: float) -> bool:
        """Whether webhooks flow: one came lately, and none was lost since."""
        return self._hook_came is not None and now - self._hook_came < HOOK_TRUST_S

    def interval_s(self, now: float) -> float:
        """How long it is from poll to poll."""
        own = self._settings.poll_s
        return max(own, SLOW_POLL_S) if self.has_webhooks(now) else own

    # --- Time ---------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When something is to be asked, or to be ended."""
        if not self._is_active or self._is_released:
            return None
        times = [self._next_request(), self._watch.next_deadline(), self._waiting.next_end()]
        return min((time for time in times if time is not None and time != inf), default=None)

    def _next_request(self) -> float | None:
        urgent = self._urgent_due()
        if self._in_flight is not None:
            _, job, sent = self._in_flight
            may_be_dropped = urgent is not None and job.kind not in URGENT and job.request.method == "GET"
            return max(urgent or 0.0, sent + OVERTAKE_AFTER_S) if may_be_dropped else None
        # Those whose scope is refused are ended when they are due; they wait for nobody.
        others = self._waiting.next_due(lambda job: job.kind not in URGENT)
        others = None if self.is_in_trouble else others
        known = [time for time in (self._list_due, others) if time is not None]
        calm = max(min(known), self._closed_until)
        times = [max(time, self._gap_until) for time in (calm, urgent) if time is not None]
        return max(min(times), self._shut_until)

    def _urgent_due(self) -> float | None:
        orders = self._waiting.next_due(lambda job: job.kind is WebJobKind.ORDER)
        looks = self._waiting.next_due(lambda job: job.kind is WebJobKind.LOOK)
        looks = None if looks is None else max(looks, self._closed_until)
        return min((time for time in (orders, looks) if time is not None), default=None)

    def handle_timer(self, now: Moment) -> list[WebEffect]:
        """Send the most urgent request that is due."""
        if not self._is_active or self._is_released or self.token is None:
            return []
        effects: list[WebEffect] = []
        if self._watch.count_lost(now.monotonic) and self._hook_came is not None:
            self._hook_came = None
            self._list_due = min(self._list_due, self._list_sent + self._settings.poll_s)
            effects.append(Log(Level.INFO, web_problems.hooks_lost()))
        self._end_hopeless(now.monotonic)
        when = self._next_request()
        if when is None or now.monotonic < when:
            return effects
        job = self._next_job(now.monotonic)
        if job is None:
            return effects
        if self._in_flight is not None:
            effects.append(self._drop(now.monotonic))
        return [*effects, self._send(job, self.token, now.monotonic)]

    def _end_hopeless(self, now: float) -> None:
        for job in self._waiting.take_all(lambda job: job.not_after is not None and job.not_after <= now):
            self._end(job, WebError(WebErrorKind.TOO_LATE), None, now)
        for job in self._waiting.take_all(lambda job: job.due <= now and self._refusals.find_for(job, now) is not None):
            kind = self._refusals.find_for(job, now) or WebErrorKind.TOKEN_REFUSED
            self._end(job, WebError(kind, "refused lately, and not asked again yet"), None, now)

    def _next_job(self, now: float) -> WebJob | None:
        is_calm = now >= self._closed_until
        found = self._waiting.first(now, lambda job: job.kind is WebJobKind.ORDER or (is_calm and job.kind in URGENT))
        if found is not None or not is_calm or self._in_flight is not None:
            return found
        if self._list_due <= now:
            return WebJob(WebJobKind.LIST, DeviceListRequest())
        return self._waiting.first(now, lambda _: True)

    def _send(self, job: WebJob, token: Secret, now: float) -> CallWeb:
        if job.ask_id is not None:
            self._waiting.withdraw(job.ask_id)
        self._calls += 1
        self.requests += 1
        self.forced_syncs += job.kind is WebJobKind.SYNC
        self._in_flight = (self._calls, job, now)
        if job.kind is WebJobKind.LIST:
            self._list_sent, self._list_due = now, inf  # a hint that comes meanwhile plans the next one
        return CallWeb(self._calls, job.request, token, job.not_after)

    def _drop(self, now: float) -> DropWeb:
        """Take back a read that is under way, for something urgent."""
        if self._in_flight is None:
            raise ValueError("nothing is under way")
        call_id, job, _ = self._in_flight
        self._in_flight = None
        if job.kind is WebJobKind.LIST and job.ask_id is None:
            self._list_due = now
        else:
            self._waiting.put_back(replace(job, due=now))
        return DropWeb(call_id)

    # --- Answers ------------------------------------------------------------------------------------------------------

    def handle_answer(self, event: WebAnswered, now: Moment) -> list[WebEffect]:
        """Take in an answer; what it is an answer to is told by `take_ended`."""
        if self._in_flight is None or self._in_flight[0] != event.call_id:
            return []
        _, job, sent = self._in_flight
        self._in_flight = None
        self._gap_until = now.monotonic + GAP_S
        if not self._is_active:
            return []
        answer = self._hide(event.answer)
        self._end(job, answer, sent, now.monotonic if event.received is None else event.received)
        if isinstance(answer, WebError):
            effects = self._failed(job, answer, now.monotonic, event)
        else:
            effects = self._succeeded(job, sent)
        if job.kind is WebJobKind.LIST and self._list_due == inf:
            self._list_due = max(sent + self.interval_s(now.monotonic), now.monotonic)
        return effects

    def _hide(self, answer: WebAnswer | WebError) -> WebAnswer | WebError:
        return hide_web_secrets(answer, self._tokens) if isinstance(answer, WebError) else answer

    def _end(self, job: WebJob, answer: WebAnswer | WebError, sent: float | None, received: float) -> None:
        self._ended.append(WebEnded(job.ask_id, job.request, answer, sent, received))

    def take_ended(self) -> list[WebEnded]:
        """What has ended since the last call, in order."""
        ended, self._ended = self._ended, []
        return ended

    def _succeeded(self, job: WebJob, sent: float) -> list[WebEffect]:
        self._throttles = 0
        self._is_reachable = True
        effects: list[WebEffect] = []
        if self._refusals.grant(job):
            effects.append(Log(Level.INFO, web_problems.granted(job.request.scope)))
        if job.kind is not WebJobKind.LIST:
            if self.is_in_trouble:
                self._list_due = min(self._list_due, sent + HINT_GAP_S)
            return effects
        self.last_poll = sent
        self._poll_failures = 0
        if self.problem is not None:
            self.problem = self._problem_kind = None
            effects.append(Log(Level.INFO, web_problems.recovered()))
        return effects

    def _failed(self, job: WebJob, error: WebError, now: float, event: WebAnswered) -> list[WebEffect]:
        if error.kind is WebErrorKind.TOO_LATE:
            return []
        self.failures += 1
        match error.kind:
            case WebErrorKind.TOKEN_REFUSED | WebErrorKind.FORBIDDEN:
                self._is_reachable = True
                return self._refused(job, error, now, event.call_id)
            case WebErrorKind.TOO_MANY:
                return self._throttled(job, error, now, event.chance)
            case _ if job.kind is WebJobKind.LIST:
                self._poll_failures += 1
                self._is_reachable = False
                self._list_due = now + _spread(_step(RETRIES_S, self._poll_failures), event.chance)
                return self._tell(error)
            case _ if error.kind in _TROUBLE and not self.is_in_trouble:
                # Is it the cloud, or only this one thing?
                self._hint(now + _PULSE_DELAY_S, HINT_GAP_S)
            case _:
                pass
        return []

    def _throttled(self, job: WebJob, error: WebError, now: float, chance: float) -> list[WebEffect]:
        self.throttled += 1
        self._throttles += 1
        self._is_reachable = True
        own_s = _spread(_step(THROTTLE_RETRIES_S, self._throttles), chance)
        wait_s = own_s
        if error.retry_after_s is not None:
            # Never sooner than it asks, and not all gateways at the same second.
            wait_s = error.retry_after_s + _SPREAD * chance * min(error.retry_after_s, own_s)
            self._shut_until = max(self._shut_until, now + error.retry_after_s)
        self._closed_until = max(self._closed_until, now + wait_s)
        if job.kind is WebJobKind.LIST:
            self._list_due = now + wait_s
        return self._tell(error)

    def _tell(self, error: WebError) -> list[WebEffect]:
        text = web_problems.failure(error)
        is_new = error.kind is not self._problem_kind
        self.problem, self._problem_kind = text, error.kind
        return [Log(Level.WARNING if is_new else Level.DEBUG, text)]

    # --- Refused scopes -----------------------------------------------------------------------------------------------

    def _refused(self, job: WebJob, error: WebError, now: float, call_id: int) -> list[WebEffect]:
        if call_id < self._judges_since:
            if job.kind is WebJobKind.LIST:
                self._list_due = now  # with the new token
            return []
        refusal = self._refusals.refuse(job, error, now)
        text = web_problems.refused(refusal, error)
        if job.kind is WebJobKind.LIST:
            self._list_due, self._poll_failures = refusal.until, 0
            self.problem, self._problem_kind = text, error.kind
        return [Log(Level.WARNING if refusal.is_new else Level.DEBUG, text)]

    def is_refused(self, scope: str, now: float, device: int | None = None) -> bool:
        """Whether what needs this scope is not even asked for now; `device` is the cloud's number of one."""
        return self._refusals.find(scope, device, now) is not None

    # --- Views --------------------------------------------------------------------------------------------------------

    def health(self, now: float) -> WebHealth:
        """How the cloud fares."""
        return WebHealth(
            reachable=self._is_reachable,
            problem=self.problem,
            requests=self.requests,
            failures=self.failures,
            throttled=self.throttled,
            forced_syncs=self.forced_syncs,
            scopes_missing=self._refusals.scopes,
            refused_devices=self._refusals.devices,
            queue=len(self._waiting),
            poll_age_s=None if self.last_poll is None else now - self.last_poll,
            poll_s=self.interval_s(now),
            has_webhooks=self.has_webhooks(now),
        )
