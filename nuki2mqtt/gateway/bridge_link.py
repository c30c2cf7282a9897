"""One Bridge: what to ask it next, and how it fares.

One request at a time, a minimum gap between an answer and the next request, identity before anything else;
orders before `/list` before `/lockState` before what people ask for before the callback lease before `/info`. A
failed request comes again after a growing delay, for which orders do not wait; an order is never repeated here:
whether it may be is decided by `commands`.
"""

from dataclasses import replace
from datetime import timedelta
from math import inf

from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.gateway import bridge_problems
from nuki2mqtt.gateway.auth_ladder import AuthLadder
from nuki2mqtt.gateway.bridge_facts import BridgeFacts
from nuki2mqtt.gateway.bridge_jobs import ONCE, Job, JobKind, Orders, Questions
from nuki2mqtt.gateway.callback_lease import OwnCallback
from nuki2mqtt.gateway.callback_registration import CallbackRegistration
from nuki2mqtt.gateway.forced_reads import ForcedReads
from nuki2mqtt.gateway.vocabulary import (
    BridgeAnswered,
    BridgeMemory,
    CallBridge,
    Effect,
    Level,
    Log,
    Moment,
    ReachBridge,
)
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_api import (
    Answer,
    BridgeRequest,
    CallbackListAnswer,
    CallbackListRequest,
    InfoAnswer,
    InfoRequest,
    ListRequest,
    LockActionRequest,
    LockStateAnswer,
    LockStateRequest,
    SuccessAnswer,
    hide_secrets,
)
from nuki2mqtt.protocol.bridge_auth import AuthMode
from nuki2mqtt.protocol.bridge_texts import hide
from nuki2mqtt.protocol.settings import BridgeSettings, PollSettings

UNCLEAN_START_S = 2.0  # docs/architecture.md, "Whom we talk to": the last process's request may still run
HINT_DELAY_S = 1.0
HINT_GAP_S = 2.0
FAST_SHARE = 3
_LONGEST_RETRY_S = 60.0
_DOUBLINGS = 6
_REFUSED_RETRIES_S = (1.0, 2.0, 30.0)
_MOST_TOKENS = 8
_TRIAL_GAP_S = 1.0
_NOBODY = frozenset({BridgeErrorKind.REFUSED, BridgeErrorKind.TIMEOUT, BridgeErrorKind.RESET, BridgeErrorKind.BUSY})


class BridgeLink:
    """The queue, cadence and health of one Bridge, configured or `is_learnt`.

    `settings` say where it is asked now, `link` is its name for ever. `dead_since`: since when (monotonic seconds) it
    refuses every connection or is silent; None once it has answered anything. `found_dead`: when the last request was
    sent that showed it. `was_nobody`: the last address that was tried told nothing of who is there.
    """

    def __init__(
        self,
        settings: BridgeSettings,
        poll: PollSettings,
        memory: BridgeMemory,
        *,
        name: str | None = None,
        is_learnt: bool = False,
    ) -> None:
        self.settings = settings
        self.link = name or settings.link
        self.is_learnt = is_learnt
        self.dead_since: float | None = None
        self.found_dead = -inf
        self.was_nobody = False
        self._judges_since = 0  # the first call whose answer says something of the present token
        self._is_judging = True
        self._home: BridgeSettings | None = None  # where it was, as long as another address is on trial
        self.bridge_id = settings.id or memory.bridge_id
        self.token = settings.token or memory.token
        self._tokens = [] if self.token is None else [self.token]  # all that the Bridge was shown in this run
        self.ladder = AuthLadder(settings.auth, memory.auth, allow_plain=settings.allow_plain)
        self.facts = BridgeFacts(settings)
        self.callback = CallbackRegistration(settings.link)
        self.reads = ForcedReads(poll.forced_min_s, poll.forced_per_day)
        self.problem: str | None = None
        self.busy_answers = 0
        self.unconfirmed_hints = 0
        self.is_verified = False
        self.is_fast = False
        self._poll = poll
        self._is_active = False
        self._is_releasing = False
        self._is_contact_ended = False
        self._due: dict[JobKind, float] = {}
        self._orders = Orders()
        self._asked = Questions()
        self._in_flight: tuple[int, Job, float] | None = None
        self._calls = 0
        self.answered_sent = 0.0  # when the request was sent that was answered last
        self._gap_until = 0.0  # orders wait for this only
        self._earliest = 0.0
        self._failures: dict[JobKind, int] = {}
        self._problem_kind: BridgeErrorKind | None = None
        self._problem_job: JobKind | None = None
        self._list_sent = float("-inf")
        self._hinted: float | None = None  # a hint that came since the last /list was sent

    # --- Switching ---------------------------------------------------------------------------------

    @property
    def needs_pairing(self) -> bool:
        """Whether there is no token to ask with."""
        return self.token is None

    @property
    def memory(self) -> BridgeMemory:
        """What to remember: a token only if it was handed over, a mode only if it was found out."""
        handed_over = self.token if self.token != self.settings.token else None
        at = None if self.place.link == self.link else self.place.link
        return BridgeMemory(self.bridge_id, handed_over, self.ladder.learnt, at)

    @property
    def place(self) -> BridgeSettings:
        """Where it is, as far as we know: an address on trial is none yet."""
        return self._home or self.settings

    @property
    def secret_name(self) -> str:
        """What makes its callback path: elsewhere it is another one, lest who was there before knows it."""
        return self.link if self.place.link == self.link else f"{self.link} {self.place.link}"

    @property
    def queue(self) -> int:
        """How many requests wait."""
        return len(self._orders) + len(self.reads) + len(self._asked) + (self.callback.step is not None)

    @property
    def own(self) -> OwnCallback | None:
        """Where the Bridge calls us."""
        return self.callback.own

    @property
    def lease(self) -> str:
        """How our callback stands there."""
        return self.callback.state

    @property
    def forced_reads(self) -> int:
        """How many reads woke a lock."""
        return self.reads.made

    @property
    def is_released(self) -> bool:
        """Whether no callback slot of ours is left to give back."""
        return self.callback.is_released

    def start(self, now: Moment, *, after_unclean_end: bool = False) -> None:
        """Begin to ask, identity first."""
        if self._is_active or self._is_releasing or self.token is None:
            return
        self._is_active = True
        self.is_verified = False
        self._due = {JobKind.INFO: now.monotonic, JobKind.LIST: now.monotonic}
        self._gap_until = max(self._gap_until, now.monotonic + (UNCLEAN_START_S if after_unclean_end else 0.0))
        self._earliest = max(self._earliest, self._gap_until)

    def stop(self) -> None:
        """Ask nothing more; an answer under way is ignored, and who was on trial was not the Bridge."""
        self._is_active = False
        self._go_to(self.place)
        self._home, self.dead_since = None, None
        self._judges_since = self._calls + 1
        self._orders.clear()
        self._asked.clear()
        self.reads.clear()
        self.callback.stop()

    def pause(self) -> bool:
        """Ask nothing until `start` or `pair`; False while a request is under way or an address is on trial."""
        is_idle = self._in_flight is None and self._home is None
        if is_idle:
            self.stop()
        return is_idle

    def pair(
        self, token: Secret, now: Moment, *, replace_bridge: bool, at: BridgeSettings | None = None
    ) -> list[Effect]:
        """Use a new token from now on, here or at this address; `replace_bridge`: another Bridge may answer there."""
        self.token = token
        effects = self._go_to(at or self.place)
        self._home, self.dead_since = None, None
        self._judges_since = self._calls + 1
        self._tokens = [*self._tokens[-_MOST_TOKENS:], token]
        if replace_bridge:
            self.bridge_id = self.settings.id
        self.ladder = AuthLadder(self.settings.auth, None, allow_plain=self.settings.allow_plain)
        self._is_contact_ended = False
        self._is_active = False
        self.start(now)
        return effects

    def release(self, now: Moment) -> None:
        """Give our callback slot back, then ask nothing more."""
        self._is_releasing = True
        self._orders.clear()
        self._asked.clear()
        self.reads.clear()
        self._due = {}
        # A Bridge in trouble would be asked too late; the next start cleans up.
        is_well = self._problem_kind in {None, BridgeErrorKind.BUSY}
        can_ask = self._is_active and self.is_verified and is_well
        self.callback.release(now.monotonic, can_ask=can_ask)

    def end_contact(self, problem: str) -> list[Effect]:
        """Ask nothing more until a person has changed something."""
        self._is_contact_ended = True
        self.is_verified = False
        self.problem = problem
        return [Log(Level.ERROR, problem)]

    # --- Moving -------------------------------------------------------------------------------------

    @property
    def may_move(self) -> bool:
        """Whether it may be asked elsewhere: nobody has configured its address, and no readable token goes there."""
        return self.is_learnt and self.ladder.proven in {AuthMode.ENCRYPTED, AuthMode.HASHED}

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way and no other address is on trial."""
        return self.can_be_asked and self._in_flight is None and self._home is None

    def look_for_life(self, now: Moment) -> None:
        """Ask who is there at once, before another address is tried."""
        self._plan(JobKind.INFO, now.monotonic)
        self._earliest = self._gap_until

    def try_address(self, place: BridgeSettings, now: Moment) -> list[Effect]:
        """Ask who is there, once; whoever is not this Bridge, or says nothing, is not asked again."""
        self._home = self.settings
        self.is_verified = self.was_nobody = False
        # The search has just asked there, and a Bridge wants its pause (reference, 4.1).
        self._gap_until = max(self._gap_until, now.monotonic + max(self._poll.min_gap_s, _TRIAL_GAP_S))
        self._due[JobKind.INFO] = self._earliest = self._gap_until
        return [*self._go_to(place), Log(Level.WARNING, bridge_problems.trying(self.link, self.bridge_id, place.link))]

    def _go_to(self, place: BridgeSettings) -> list[Effect]:
        if place.link == self.settings.link:
            return []
        self.settings = replace(self.settings, host=place.host, port=place.port)
        self.facts.settings = self.settings
        return [ReachBridge(self.link, place.host, place.port)]

    def _go_home(self, home: BridgeSettings, why: str, now: Moment) -> list[Effect]:
        text = bridge_problems.not_there(self.bridge_id, self.settings.link, why, home.link)
        self._home, self.is_verified = None, False
        self._plan(JobKind.INFO, now.monotonic + _LONGEST_RETRY_S)
        self._earliest = now.monotonic + _LONGEST_RETRY_S
        return [*self._go_to(home), Log(Level.WARNING, text)]

    # --- Orders and questions ----------------------------------------------------------------------

    @property
    def can_be_asked(self) -> bool:
        """Whether requests go out at all: followed, with a token, and the Bridge that is expected."""
        return self._is_active and not self._is_releasing and not self._is_contact_ended and self.token is not None

    @property
    def is_in_trouble(self) -> bool:
        """Whether the last request of some kind got no answer."""
        return self._problem_kind is not None or not self.is_verified

    @property
    def is_refusing_token(self) -> bool:
        """Whether the Bridge refused our token last."""
        return self._problem_kind is BridgeErrorKind.TOKEN_REFUSED or self.needs_pairing

    def order(self, nuki_id: NukiId, request: LockActionRequest, due: float, not_after: float) -> None:
        """Send this order as soon as it may be, between these times (monotonic); replaces one that waits."""
        self._orders.put(nuki_id, request, due, not_after)

    def withdraw(self, nuki_id: NukiId) -> None:
        """Do not send the order that waits for this device."""
        self._orders.withdraw(nuki_id)

    @property
    def waiting_orders(self) -> tuple[NukiId, ...]:
        """The devices for which an order waits."""
        return self._orders.devices

    @property
    def ordered_device(self) -> NukiId | None:
        """The device whose order is under way."""
        return self._in_flight[1].nuki_id if self._in_flight and self._in_flight[1].kind is JobKind.ACTION else None

    def ask(self, ask_id: int, request: BridgeRequest) -> bool:
        """Ask this once, for a person; False if too much waits."""
        return self.can_be_asked and self._asked.put(ask_id, request)

    def forget_device(self, nuki_id: NukiId) -> None:
        """Want nothing of this device any more."""
        self.withdraw(nuki_id)
        self.reads.forget(nuki_id)

    def withdraw_question(self, ask_id: int) -> None:
        """Do not ask it any more."""
        self._asked.withdraw(ask_id)

    def ask_list_now(self, now: Moment) -> None:
        """Somebody waits for what `/list` says."""
        if JobKind.LIST in self._due:
            soon = max(now.monotonic, self._list_sent + HINT_GAP_S)
            self._due[JobKind.LIST] = min(self._due[JobKind.LIST], soon)
            self._hinted = soon

    # --- Wishes ------------------------------------------------------------------------------------

    def set_own_callback(self, own: OwnCallback | None, now: Moment) -> None:
        """Where the Bridge shall call us from now on; None for nowhere."""
        self.callback.set_own(own, now.monotonic)

    def is_wanted(self, nuki_id: NukiId) -> bool:
        """Whether a read of this lock still waits."""
        return nuki_id in self.reads

    def bring_list_forward(self, now: Moment) -> None:
        """A hint came: ask soon, never later than planned."""
        if JobKind.LIST in self._due:
            soon = max(now.monotonic + HINT_DELAY_S, self._list_sent + HINT_GAP_S)
            self._due[JobKind.LIST] = min(self._due[JobKind.LIST], soon)
            self._hinted = soon

    def verify_lease(self, now: Moment) -> None:
        """Look at the callback slots at once."""
        self.callback.verify(now.monotonic)

    def want_lock_state(self, nuki_id: NukiId, device_type: int, now: Moment) -> bool:
        """Wake a lock to read it, within the budget; False if the budget of the day is spent."""
        if self._is_releasing or not self._is_active:
            return True
        return self.reads.want(nuki_id, device_type, now.monotonic)

    def drop_retry(self, nuki_id: NukiId) -> None:
        """The lock was heard of: no other read is needed for its sake."""
        self.reads.heard_of(nuki_id)

    # --- Time --------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When something is to be asked."""
        if not self._is_active or self._in_flight is not None or self._is_contact_ended:
            return None
        deadline = max(self._next_due(), self._earliest)
        order = self._orders.next_due()
        if order is not None:
            deadline = min(deadline, max(order, self._gap_until))
        return None if deadline == inf else deadline

    def _next_due(self) -> float:
        """When something other than an order is due; this runs at every event."""
        if not self.is_verified:
            return self._due.get(JobKind.INFO, inf)
        if self.callback.step is not None or len(self._asked):
            return self._earliest
        dues = [*self._due.values()]
        dues += [due for due in (self.reads.next_due(), self.callback.look_at) if due is not None]
        return min(dues, default=inf)

    def handle_timer(self, now: Moment) -> list[Effect]:
        """Send the most urgent request that is due."""
        deadline = self.next_deadline()
        if deadline is None or now.monotonic < deadline or self.token is None:
            return []
        job = self._next_job(now.monotonic)
        if job is None:
            return []
        self._calls += 1
        self._in_flight = (self._calls, job, now.monotonic)
        if job.kind is JobKind.LIST:
            self._list_sent, self._hinted = now.monotonic, None
        return [CallBridge(self.link, self._calls, job.request, self.ladder.mode, self.token, job.not_after)]

    def _next_job(self, now: float) -> Job | None:
        def is_due(kind: JobKind) -> bool:
            return self._due.get(kind, now + 1) <= now

        if not self.is_verified:
            return Job(JobKind.INFO, InfoRequest())
        order = self._orders.take(now)
        if order is not None:
            return order
        if now < self._earliest:
            return None
        if is_due(JobKind.LIST):
            return Job(JobKind.LIST, ListRequest())
        read = self.reads.take(now)
        if read is not None:
            return Job(JobKind.LOCK_STATE, LockStateRequest(*read), read[0])
        question = self._asked.take()
        if question is not None:
            return question
        step = self.callback.next_step(now)
        if step is not None:
            return Job(JobKind.LEASE, step)
        if self.callback.look_at is not None and self.callback.look_at <= now:
            return Job(JobKind.SLOTS, CallbackListRequest())
        return Job(JobKind.INFO, InfoRequest()) if is_due(JobKind.INFO) else None

    # --- Answers -----------------------------------------------------------------------------------

    def handle_answer(
        self, event: BridgeAnswered, now: Moment, *, is_clock_trusted: bool
    ) -> tuple[Job | None, list[Effect]]:
        """Take in an answer; the job that it ends (None for one that we no longer wait for), and effects."""
        if self._in_flight is None or self._in_flight[0] != event.call_id:
            return None, []
        _, job, sent = self._in_flight
        self._in_flight, self.answered_sent = None, sent
        self._gap_until = now.monotonic + self._poll.min_gap_s
        self._earliest = self._gap_until
        self._is_judging = event.call_id >= self._judges_since
        if not self._is_active or not (self._is_judging or job.kind is JobKind.ACTION):
            return None, []
        answer = self.hide_secrets(event.answer)
        if isinstance(answer, BridgeError) and answer.kind is BridgeErrorKind.TOO_LATE:
            return job, []  # nobody was asked
        if isinstance(answer, BridgeError) and self._home is not None:
            self.was_nobody = answer.kind in _NOBODY
            return job, self._go_home(self._home, str(answer), now)
        self._note_death(answer, sent)
        if isinstance(answer, BridgeError):
            return job, self._failed(job, answer, now, is_clock_trusted=is_clock_trusted)
        if self._home is not None and isinstance(answer, InfoAnswer) and self.bridge_id not in _ids_of(answer):
            self.was_nobody = False
            return job, self._go_home(self._home, "another Bridge is there", now)
        effects = self._recovered(job.kind)
        if self._is_judging:
            self.ladder.accepted()
        match job.kind:
            case JobKind.LIST:
                cadence = self._poll.list_s / FAST_SHARE if self.is_fast else self._poll.list_s
                due = sent + cadence if self._hinted is None else min(sent + cadence, self._hinted)
                self._plan(JobKind.LIST, max(due, now.monotonic))
            case JobKind.LOCK_STATE if job.nuki_id is not None and isinstance(answer, LockStateAnswer):
                self.reads.answered(job.nuki_id, now.monotonic, has_reached=answer.success)
            case JobKind.INFO if isinstance(answer, InfoAnswer):
                effects += self._informed(answer, sent, now, arrival_of(event, now))
            case JobKind.ASKED if isinstance(answer, CallbackListAnswer):
                self.facts.saw_slots(answer.slots)
            case JobKind.SLOTS if isinstance(answer, CallbackListAnswer):
                self.facts.saw_slots(answer.slots)
                effects += self.callback.saw(answer.slots, now.monotonic)
            case JobKind.LEASE if isinstance(answer, SuccessAnswer):
                effects += self.callback.took_step(answer, now.monotonic)
            case _:
                pass
        return job, effects

    def _note_death(self, answer: Answer | BridgeError, sent: float) -> None:
        if isinstance(answer, BridgeError) and answer.kind in {BridgeErrorKind.REFUSED, BridgeErrorKind.TIMEOUT}:
            self.dead_since = sent if self.dead_since is None else self.dead_since
            self.found_dead = sent
        else:
            self.dead_since = None

    def hide_secrets(self, answer: Answer | BridgeError) -> Answer | BridgeError:
        """The answer, in whose words neither our token nor our callback path stands any more."""
        return hide_secrets(answer, self._secrets)

    def hide(self, text: str) -> str:
        """The same for one text of a log."""
        return hide(text, self._secrets)

    @property
    def _secrets(self) -> list[Secret]:
        return self._tokens if self.own is None else [*self._tokens, self.own.secret]

    def _plan(self, kind: JobKind, due: float) -> None:
        if not self._is_releasing:
            self._due[kind] = due

    def _recovered(self, kind: JobKind) -> list[Effect]:
        # Only what failed can get well: an /info that answers is no answer to a /list that does not.
        self._failures.pop(kind, None)
        if self._problem_kind is None or self._problem_job not in {kind, *ONCE}:
            return []
        self.problem = self._problem_kind = self._problem_job = None
        return [Log(Level.INFO, f"Bridge {self.settings.link} answers again.")]

    def _informed(self, answer: InfoAnswer, sent: float, now: Moment, arrival: Moment) -> list[Effect]:
        self._plan(JobKind.INFO, sent + self._poll.info_s)
        seen = answer.bridge_id or self.settings.id
        self.facts.was_rebooted = self.facts.was_clock_set = False
        expected = self.bridge_id
        told = _ids_of(answer)
        if seen is not None and expected is not None and told and expected not in told:
            return self.end_contact(bridge_problems.other_bridge(self.settings, expected, seen))
        if seen is None:
            text = bridge_problems.nameless(self.link)
            is_new, self.problem = text != self.problem, text
            self._plan(JobKind.INFO, now.monotonic + _LONGEST_RETRY_S)
            return [Log(Level.WARNING, text)] if is_new else []
        effects: list[Effect] = []
        if self.problem is not None and self._problem_kind is None:
            effects.append(Log(Level.INFO, f"Bridge {self.settings.link} is {seen}."))
            self.problem = None
        self.is_verified = True
        self.bridge_id = seen
        if self._home is not None:
            effects.append(Log(Level.WARNING, bridge_problems.moved(seen, self._home.link, self.settings.link)))
            self._home = None
        self.facts.read(seen, answer, sent, arrival)
        if self.facts.was_rebooted:
            self.verify_lease(now)
        return effects

    def _failed(self, job: Job, error: BridgeError, now: Moment, *, is_clock_trusted: bool) -> list[Effect]:
        failures = 1 if job.kind in ONCE else self._failures.get(job.kind, 0) + 1
        self._failures[job.kind] = failures
        delay = min(2.0 ** min(failures, _DOUBLINGS), max(self._poll.list_s, 2.0), _LONGEST_RETRY_S)
        match error.kind:
            case BridgeErrorKind.BUSY:
                self.busy_answers += 1
            case BridgeErrorKind.TOKEN_REFUSED:
                if self._is_judging:
                    self.ladder.refused(now.monotonic, is_clock_trusted=is_clock_trusted)
                step = failures - 1
                is_early = step < len(_REFUSED_RETRIES_S)
                delay = _REFUSED_RETRIES_S[step] if is_early else _LONGEST_RETRY_S
            case BridgeErrorKind.REFUSED | BridgeErrorKind.TIMEOUT | BridgeErrorKind.RESET:
                # Somebody else may answer at this address next time.
                self.is_verified = False
                self._plan(JobKind.INFO, now.monotonic + delay)
                self._failures[JobKind.INFO] = max(failures, self._failures.get(JobKind.INFO, 0))
            case _:
                pass
        if self._is_releasing:
            # What failed may be an older request; but nobody knows now who answers there.
            if job.kind in {JobKind.SLOTS, JobKind.LEASE} or not self.is_verified:
                self.callback.failed(now.monotonic + delay)
            return self._tell(job, error, now)
        self._retry(job, now.monotonic + delay, error)
        return self._tell(job, error, now)

    def _retry(self, job: Job, due: float, error: BridgeError) -> None:
        if job.kind is JobKind.LOCK_STATE and job.nuki_id is not None:
            self.reads.failed(job.nuki_id, error.kind, due)
        elif job.kind in {JobKind.LEASE, JobKind.SLOTS}:
            self.callback.failed(due)
        elif job.kind not in ONCE:
            self._plan(job.kind, due)
        # What else is due waits as long: a Bridge in trouble is not to be hurried.
        self._earliest = max(self._earliest, due)

    def _tell(self, job: Job, error: BridgeError, now: Moment) -> list[Effect]:
        if error.kind is BridgeErrorKind.TOKEN_REFUSED and not self.ladder.is_exhausted:
            return [Log(Level.DEBUG, f"Bridge {self.settings.link} refused the token; trying {self.ladder.mode} next.")]
        text = bridge_problems.failure(self.settings, error, now.wall)
        is_new = error.kind is not self._problem_kind
        self.problem, self._problem_kind, self._problem_job = text, error.kind, job.kind
        return [Log(Level.WARNING if is_new else Level.DEBUG, text)]


def arrival_of(event: BridgeAnswered, now: Moment) -> Moment:
    """When the answer came, on both clocks: it may have waited for us."""
    if event.received is None:
        return now
    waited = timedelta(seconds=now.monotonic - event.received)
    return replace(now, monotonic=event.received, wall=now.wall - waited)


def _ids_of(answer: InfoAnswer) -> set[NukiId]:
    return {one for one in (answer.hardware_id, answer.server_id) if one is not None}
