"""The callback lease of one Bridge: taken, checked, put right, lost, refused, given back."""

from dataclasses import dataclass, field

import pytest

from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.gateway import bridge_problems
from nuki2mqtt.gateway.callback_lease import OwnCallback
from nuki2mqtt.gateway.vocabulary import CallBridge, Effect, Level, Log
from nuki2mqtt.model.bridge import CallbackSlot
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_api import (
    Answer,
    CallbackAddRequest,
    CallbackListAnswer,
    CallbackListRequest,
    CallbackRemoveRequest,
    InfoRequest,
    ListAnswer,
    ListRequest,
    SuccessAnswer,
)
from tests.gateway.builders import LINK, LOCK, Line, info, logged, moment

OWN = OwnCallback("192.0.2.5", 8321, Secret("/callback/1234abcd/5ecret"), "1234abcd")
RIGHT = OWN.url().reveal()
OLD, FOREIGN = "http://192.0.2.77:8321/callback/1234abcd/0ld", "http://192.0.2.6:8123/hook"


@dataclass
class Slots:
    """A Bridge with three slots, whose numbers are positions, answering a link."""

    line: Line = field(default_factory=Line.verified)
    urls: list[str] = field(default_factory=list)
    keeps: bool = True
    trace: list[str] = field(default_factory=list)
    log: list[Effect] = field(default_factory=list)

    def serve(self, until: float) -> None:
        """Answer everything that is due until then."""
        while (due := self.line.due) is not None and due <= until:
            call = self.line.next_sent()
            self.log += self.line.answer(call, self.answer(call))
        self.line.now = until

    def answer(self, call: CallBridge) -> Answer | BridgeError:
        match call.request:
            case InfoRequest():
                return info(self.line.now, uptime_s=5000 + int(self.line.now))
            case ListRequest():
                return ListAnswer(())
            case CallbackListRequest():
                self.trace.append("list")
                return CallbackListAnswer(tuple(CallbackSlot(number, url) for number, url in enumerate(self.urls)))
            case CallbackAddRequest(url):
                self.trace.append("add")
                if len(self.urls) >= 3:
                    return SuccessAnswer(success=False, message="too many callbacks registered")
                self.urls += [url.reveal()] if self.keeps else []
                return SuccessAnswer(success=True)
            case CallbackRemoveRequest(number):
                self.trace.append(f"remove {number}")
                self.urls.pop(number)
                return SuccessAnswer(success=True)
            case _:
                raise AssertionError(call)

    @property
    def lease(self) -> str:
        return self.line.link.lease


def serving(*urls: str, keeps: bool = True, until: float = 12) -> Slots:
    bridge = Slots(urls=list(urls), keeps=keeps)
    bridge.line.link.set_own_callback(OWN, moment(2))
    bridge.serve(until)
    return bridge


def test_our_url_is_registered_and_looked_at_again() -> None:
    bridge = serving()

    assert (bridge.trace, bridge.urls, bridge.lease) == (["list", "add", "list"], [RIGHT], "held")
    assert bridge.log == [Log(Level.INFO, f"Bridge {LINK} calls us back.")]
    assert bridge.line.link.facts.view is not None
    assert bridge.line.link.facts.view.slots == (CallbackSlot(0, RIGHT),)


def test_before_the_first_look_the_lease_is_pending() -> None:
    line = Line.verified()
    without = line.link.lease
    line.link.set_own_callback(OWN, moment(2))

    assert (without, line.link.lease) == ("off", "pending")


def test_old_slots_of_ours_are_removed_one_by_one_with_a_look_in_between() -> None:
    bridge = serving(OLD, FOREIGN, OLD)

    assert bridge.trace == ["list", "remove 0", "list", "remove 1", "list", "add", "list"]
    assert (bridge.urls, bridge.lease) == ([FOREIGN, RIGHT], "held")


def test_what_is_registered_already_is_left_alone() -> None:
    bridge = serving(FOREIGN, RIGHT)

    assert (bridge.trace, bridge.lease) == (["list"], "held")


def test_full_slots_are_warned_of_once_and_looked_at_every_900_s() -> None:
    bridge = serving(FOREIGN, FOREIGN, FOREIGN)
    bridge.serve(1850)

    assert (bridge.trace, bridge.urls, bridge.lease) == (["list"] * 3, [FOREIGN] * 3, "full")
    assert len(logged(bridge.log, "warning")) == 1


def test_a_slot_that_becomes_free_is_taken() -> None:
    bridge = serving(FOREIGN, FOREIGN, FOREIGN)
    bridge.urls.pop()
    bridge.serve(1000)

    assert (bridge.urls, bridge.lease) == ([FOREIGN, FOREIGN, RIGHT], "held")


def test_a_held_lease_is_looked_at_every_900_s() -> None:
    bridge = serving()
    bridge.trace.clear()
    bridge.serve(890)
    before = list(bridge.trace)
    bridge.serve(1810)

    assert (before, bridge.trace) == ([], ["list", "list"])


def test_a_lost_lease_is_told_and_taken_again() -> None:
    bridge = serving()
    bridge.urls.clear()
    bridge.serve(1000)

    assert (bridge.urls, bridge.lease) == ([RIGHT], "held")
    assert logged(bridge.log, "warning") == [bridge_problems.lease_lost(LINK)]


def test_the_lease_can_be_looked_at_at_once() -> None:
    bridge = serving()
    bridge.trace.clear()
    bridge.line.link.verify_lease(moment(12))
    bridge.serve(13)

    assert bridge.trace == ["list"]


def test_a_reboot_lets_the_lease_be_looked_at_at_once() -> None:
    bridge = serving()
    bridge.serve(299)
    bridge.trace.clear()
    bridge.line.now = 300
    call = bridge.line.next_sent()
    while not isinstance(call.request, InfoRequest):
        bridge.line.answer(call, bridge.answer(call))
        call = bridge.line.next_sent()
    bridge.line.answer(call, info(bridge.line.now, uptime_s=3))
    bridge.serve(bridge.line.now + 3)

    assert bridge.trace == ["list"]


def test_nothing_of_ours_nothing_to_look_at() -> None:
    line = Line.verified()
    line.link.verify_lease(moment(2))

    assert line.due == 31


def test_a_refused_url_is_told_and_tried_again_after_900_s() -> None:
    line = Line.verified()
    line.link.set_own_callback(OWN, moment(2))
    line.answer(line.sent(CallbackListRequest), CallbackListAnswer(()))
    effects = line.answer(line.next_sent(), SuccessAnswer(success=False, message="callback already added"))

    assert effects == [Log(Level.WARNING, bridge_problems.lease_refused(LINK, "callback already added"))]
    assert line.link.lease == "refused"


def test_a_bridge_that_does_not_keep_what_is_registered_is_not_asked_without_end() -> None:
    bridge = serving(keeps=False, until=800)

    assert bridge.trace == ["list", "add"] * 8 + ["list"]
    assert bridge.lease == "refused"
    assert len(logged(bridge.log, "warning")) == 1


@pytest.mark.parametrize("kind", [BridgeErrorKind.BUSY, BridgeErrorKind.BAD_REQUEST, BridgeErrorKind.TIMEOUT])
def test_a_failed_step_begins_with_a_look(kind: BridgeErrorKind) -> None:
    bridge = Slots()
    bridge.line.link.set_own_callback(OWN, moment(2))
    bridge.line.answer(bridge.line.next_sent(), CallbackListAnswer(()))
    call = bridge.line.next_sent()
    bridge.line.answer(call, BridgeError(kind))
    bridge.serve(20)

    assert isinstance(call.request, CallbackAddRequest)
    assert (bridge.trace, bridge.urls, bridge.lease) == (["list", "add", "list"], [RIGHT], "held")


def test_another_address_of_ours_replaces_the_old_one() -> None:
    bridge = serving()
    other = OwnCallback("192.0.2.99", 8321, OWN.path, OWN.instance)
    bridge.line.link.set_own_callback(other, moment(12))
    bridge.serve(20)

    assert (bridge.urls, bridge.lease) == ([other.url().reveal()], "held")


def test_the_same_address_again_is_no_reason_to_look() -> None:
    bridge = serving()
    bridge.trace.clear()
    bridge.line.link.set_own_callback(OWN, moment(12))
    bridge.serve(20)

    assert (bridge.trace, bridge.lease) == ([], "held")


# --- giving back ---


def test_before_we_stop_our_slots_are_given_back_and_nothing_else_is_asked() -> None:
    bridge = serving(FOREIGN)
    bridge.urls.insert(0, OLD)
    bridge.trace.clear()
    bridge.line.link.release(moment(12))
    was_released = bridge.line.link.is_released
    bridge.serve(2000)

    assert (was_released, bridge.line.link.is_released) == (False, True)
    assert bridge.trace == ["list", "remove 0", "list", "remove 1", "list"]
    assert (bridge.urls, bridge.line.due) == ([FOREIGN], None)


@pytest.mark.parametrize("urls", [(FOREIGN, FOREIGN, FOREIGN)])
def test_who_holds_no_slot_is_released_at_once(urls: tuple[str, ...]) -> None:
    full, never = serving(*urls), Slots()
    for bridge in (full, never):
        bridge.line.link.release(moment(12))

    assert (full.line.link.is_released, never.line.link.is_released) == (True, True)
    assert (full.line.due, never.line.due) == (None, None)


def test_a_link_that_was_never_started_is_released_at_once() -> None:
    line = Line.with_settings()
    line.link.release(moment(0))

    assert (line.link.is_released, line.due) == (True, None)


def test_a_bridge_that_does_not_answer_does_not_keep_us_from_stopping() -> None:
    bridge = serving()
    bridge.line.link.release(moment(12))
    bridge.line.answer(bridge.line.next_sent(), BridgeError(BridgeErrorKind.BUSY))

    assert bridge.line.link.is_released


@pytest.mark.parametrize(
    "kind", [BridgeErrorKind.REFUSED, BridgeErrorKind.TIMEOUT, BridgeErrorKind.RESET, BridgeErrorKind.BUSY]
)
def test_after_giving_back_failed_nothing_more_is_asked(kind: BridgeErrorKind) -> None:
    bridge = serving()
    bridge.line.link.release(moment(12))
    bridge.line.answer(bridge.line.next_sent(), BridgeError(kind))

    assert bridge.line.due is None


def test_a_busy_list_under_way_does_not_count_as_having_given_our_slot_back() -> None:
    bridge = serving()
    bridge.serve(30.9)
    bridge.line.now = 31.5
    call = bridge.line.next_sent()
    assert isinstance(call.request, ListRequest)
    bridge.line.link.release(moment(31.6))
    bridge.line.answer(call, BridgeError(BridgeErrorKind.BUSY))

    assert not bridge.line.link.is_released


@pytest.mark.parametrize("kind", [BridgeErrorKind.REFUSED, BridgeErrorKind.TIMEOUT, BridgeErrorKind.RESET])
def test_who_broke_off_meanwhile_gets_no_signed_request(kind: BridgeErrorKind) -> None:
    """Somebody else may answer there now, and nobody has said who (storm, seed 2116)."""
    bridge = serving()
    bridge.serve(30.9)
    bridge.line.now = 31.5
    call = bridge.line.next_sent()
    assert isinstance(call.request, ListRequest)
    bridge.line.link.release(moment(31.6))
    bridge.line.answer(call, BridgeError(kind))

    assert (bridge.line.link.is_released, bridge.line.due) == (True, None)


def test_who_is_not_known_any_more_gets_no_signed_request_at_the_end() -> None:
    """It broke off, and was busy when it was asked who it is."""
    bridge = serving()
    bridge.serve(30.9)
    bridge.line.now = 31.5
    bridge.line.answer(bridge.line.next_sent(), BridgeError(BridgeErrorKind.RESET))
    call = bridge.line.next_sent()
    assert isinstance(call.request, InfoRequest)
    bridge.line.answer(call, BridgeError(BridgeErrorKind.BUSY))
    bridge.line.link.release(moment(bridge.line.now))

    assert (bridge.line.link.is_released, bridge.line.due) == (True, None)


def test_a_step_under_way_is_awaited_before_giving_back() -> None:
    bridge = Slots()
    bridge.line.link.set_own_callback(OWN, moment(2))
    bridge.line.answer(bridge.line.next_sent(), CallbackListAnswer(()))
    call = bridge.line.next_sent()
    bridge.line.link.release(moment(3))
    bridge.line.answer(call, bridge.answer(call))
    bridge.serve(20)

    assert isinstance(call.request, CallbackAddRequest)
    assert (bridge.urls, bridge.line.link.is_released, bridge.line.due) == ([], True, None)


def test_while_we_give_back_no_new_wishes_are_taken() -> None:
    bridge = serving()
    bridge.line.link.release(moment(12))
    bridge.line.link.want_lock_state(LOCK, 0, moment(12))
    bridge.line.link.bring_list_forward(moment(12))
    bridge.line.link.verify_lease(moment(12))
    bridge.line.link.set_own_callback(None, moment(12))
    bridge.serve(100)

    assert (bridge.urls, bridge.line.due) == ([], None)
