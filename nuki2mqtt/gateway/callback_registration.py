"""Keeping our callback registered at one Bridge, step by step.

Each step is one request: look at the slots, then remove an old one of ours or add our URL, then look again.
"""

from nuki2mqtt.gateway import bridge_problems
from nuki2mqtt.gateway.callback_lease import (
    Full,
    Held,
    OwnCallback,
    Register,
    Unregister,
    next_release,
    next_step,
)
from nuki2mqtt.gateway.vocabulary import Effect, Level, Log
from nuki2mqtt.model.bridge import CallbackSlot
from nuki2mqtt.protocol.bridge_api import CallbackAddRequest, CallbackRemoveRequest, SuccessAnswer

LEASE_S = 900.0  # docs/architecture.md, "One state change"
FRESH_S = 3.0  # a removal goes by what was seen a gap before, not a command before
_MOST_STEPS = 8

Step = CallbackAddRequest | CallbackRemoveRequest


class CallbackRegistration:
    """The lease of one Bridge. `state`: off, pending, held, full (others have all slots) or refused.

    `look_at` is when to ask for the slots (monotonic seconds), `step` a request that is to be made first.
    """

    def __init__(self, link: str) -> None:
        self.own: OwnCallback | None = None
        self.state = "off"
        self.look_at: float | None = None
        self.step: Step | None = None
        self.is_released = True
        self._link = link
        self._seen = 0.0
        self._steps = 0
        self._is_releasing = False

    def set_own(self, own: OwnCallback | None, now: float) -> None:
        """Where the Bridge shall call us from now on; None for nowhere."""
        if own == self.own or self._is_releasing:
            return
        self.own = own
        self.state = "off" if own is None else "pending"
        self.look_at = None if own is None else now

    def stop(self) -> None:
        """Forget everything; the slot stays as it is."""
        self.own, self.state, self.look_at, self.step = None, "off", None, None

    def verify(self, now: float) -> None:
        """Look at the slots at once."""
        if self.own is not None and not self._is_releasing:
            self.look_at = now

    def release(self, now: float, *, can_ask: bool) -> None:
        """Give our slot back, if we may have one and the Bridge can be asked."""
        self._is_releasing = True
        self.step = None
        has_slot = self.own is not None and self.state in {"held", "pending"}
        self.is_released = not (can_ask and has_slot)
        self.look_at = None if self.is_released else now

    def saw(self, slots: tuple[CallbackSlot, ...], now: float) -> list[Effect]:
        """Take in the slots as they are."""
        self.look_at, self._seen = None, now
        if self.own is None:
            self.is_released = True
            return []
        if self._is_releasing:
            released = next_release(slots, self.own)
            self.step = None if released is None else CallbackRemoveRequest(released.slot.id)
            self.is_released = released is None
            return []
        was, needed = self.state, next_step(slots, self.own)
        match needed:
            case Held():
                self._settle("held", now)
                return [] if was == "held" else [Log(Level.INFO, f"Bridge {self._link} calls us back.")]
            case Full():
                self._settle("full", now)
                text = bridge_problems.slots_full(self._link, slots)
                return [Log(Level.DEBUG if was == "full" else Level.WARNING, text)]
            case Register() | Unregister():
                self.state = "pending"
                self._steps += 1
                if self._steps > _MOST_STEPS:
                    return self._refused("it does not keep what is registered", now)
                self.step = _request(needed)
                is_lost = was == "held" and isinstance(needed, Register)
                return [Log(Level.WARNING, bridge_problems.lease_lost(self._link))] if is_lost else []

    def next_step(self, now: float) -> Step | None:
        """The request to be made first; none where another one came between, and the slots may be others by now.

        A number is a position (docs/facts.md): after a command of half a minute somebody else may stand there.
        """
        if isinstance(self.step, CallbackRemoveRequest) and now - self._seen > FRESH_S:
            self.step, self.look_at = None, now
        return self.step

    def took_step(self, answer: SuccessAnswer, now: float) -> list[Effect]:
        """Take in the answer to a step; numbers are positions, so look again before the next."""
        was_adding = isinstance(self.step, CallbackAddRequest)
        self.step = None
        if answer.success or not was_adding or self._is_releasing:
            self.look_at = now
            return []
        return self._refused(answer.message or "it gave no reason", now)

    def failed(self, due: float) -> None:
        """A request of ours failed: look again when the Bridge may be asked."""
        self.step = None
        if self._is_releasing:
            # There is no time for another try; the next start cleans up.
            self.look_at, self.is_released = None, True
        else:
            self.look_at = due

    def _refused(self, reason: str, now: float) -> list[Effect]:
        self._settle("refused", now)
        return [Log(Level.WARNING, bridge_problems.lease_refused(self._link, reason))]

    def _settle(self, state: str, now: float) -> None:
        self.state, self._steps, self.look_at = state, 0, now + LEASE_S


def _request(step: Register | Unregister) -> Step:
    match step:
        case Register(url):
            return CallbackAddRequest(url)
        case Unregister(slot):
            return CallbackRemoveRequest(slot.id)
