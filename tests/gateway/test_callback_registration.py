"""One step of the lease after the other, by value; the whole of it is played in test_bridge_link_lease.py."""

import pytest

from nuki2mqtt.gateway import bridge_problems
from nuki2mqtt.gateway.callback_lease import OwnCallback
from nuki2mqtt.gateway.callback_registration import LEASE_S, CallbackRegistration
from nuki2mqtt.gateway.vocabulary import Level, Log
from nuki2mqtt.model.bridge import CallbackSlot
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_api import CallbackAddRequest, CallbackRemoveRequest, SuccessAnswer
from tests.gateway.builders import LINK

OWN = OwnCallback("192.0.2.5", 8321, Secret("/callback/1234abcd/5ecret"), "1234abcd")
MINE = CallbackSlot(1, OWN.url().reveal())
OLD = CallbackSlot(0, "http://192.0.2.77:8321/callback/1234abcd/0ld")
FOREIGN = CallbackSlot(2, "http://192.0.2.6:8123/hook")


def wanting() -> CallbackRegistration:
    made = CallbackRegistration(LINK)
    made.set_own(OWN, 10)
    return made


def held() -> CallbackRegistration:
    made = wanting()
    made.saw((MINE,), 11)
    return made


def test_nothing_is_wanted_at_first() -> None:
    made = CallbackRegistration(LINK)

    assert (made.state, made.look_at, made.step, made.is_released) == ("off", None, None, True)


def test_a_callback_of_ours_is_looked_for_at_once() -> None:
    made = wanting()

    assert (made.state, made.look_at, made.step) == ("pending", 10, None)


@pytest.mark.parametrize(
    ("slots", "state", "look_at", "step"),
    [
        ((MINE,), "held", 11 + LEASE_S, None),
        ((), "pending", None, CallbackAddRequest(OWN.url())),
        ((OLD, FOREIGN), "pending", None, CallbackRemoveRequest(0)),
        ((FOREIGN, FOREIGN, FOREIGN), "full", 11 + LEASE_S, None),
    ],
)
def test_what_follows_from_the_slots(
    slots: tuple[CallbackSlot, ...], state: str, look_at: float | None, step: object
) -> None:
    made = wanting()
    made.saw(slots, 11)

    assert (made.state, made.look_at, made.step) == (state, look_at, step)


@pytest.mark.parametrize("slots", [(), (OLD,)])
def test_after_each_step_the_slots_are_looked_at_again(slots: tuple[CallbackSlot, ...]) -> None:
    made = wanting()
    made.saw(slots, 11)
    effects = made.took_step(SuccessAnswer(success=True), 12)

    assert (effects, made.look_at, made.step) == ([], 12, None)


def test_a_removal_that_had_to_wait_is_preceded_by_another_look() -> None:
    """A number is a position: behind a command of half a minute somebody else may stand there."""
    made = wanting()
    made.saw((OLD, FOREIGN), 11)
    assert made.next_step(14) == CallbackRemoveRequest(0)
    assert made.next_step(14.1) is None
    assert (made.step, made.look_at, made.state) == (None, 14.1, "pending")


def test_a_registration_may_wait() -> None:
    made = wanting()
    made.saw((), 11)
    assert made.next_step(60) == CallbackAddRequest(OWN.url())


def test_a_refused_removal_is_followed_by_a_look() -> None:
    made = wanting()
    made.saw((OLD,), 11)

    assert (made.took_step(SuccessAnswer(success=False), 12), made.look_at, made.state) == ([], 12, "pending")


@pytest.mark.parametrize(("message", "reason"), [("too many", "too many"), (None, "it gave no reason")])
def test_a_refused_registration_is_told_with_its_reason(message: str | None, reason: str) -> None:
    made = wanting()
    made.saw((), 11)
    effects = made.took_step(SuccessAnswer(success=False, message=message), 12)

    assert effects == [Log(Level.WARNING, bridge_problems.lease_refused(LINK, reason))]
    assert (made.state, made.look_at, made.step) == ("refused", 12 + LEASE_S, None)


def test_a_lost_slot_is_told() -> None:
    assert held().saw((FOREIGN,), 20) == [Log(Level.WARNING, bridge_problems.lease_lost(LINK))]


def test_a_failed_request_is_followed_by_a_look_when_the_bridge_may_be_asked() -> None:
    made = wanting()
    made.saw((), 11)
    made.failed(14)

    assert (made.state, made.look_at, made.step) == ("pending", 14, None)


@pytest.mark.parametrize(("can_ask", "is_released"), [(True, False), (False, True)])
def test_giving_back_begins_with_a_look_if_the_bridge_can_be_asked(*, can_ask: bool, is_released: bool) -> None:
    made = held()
    made.release(20, can_ask=can_ask)

    assert (made.is_released, made.look_at) == (is_released, None if is_released else 20)


def test_giving_back_ends_when_nothing_of_ours_is_left() -> None:
    made = held()
    made.release(20, can_ask=True)
    made.saw((OLD, MINE, FOREIGN), 21)
    first = made.step
    made.took_step(SuccessAnswer(success=True), 22)
    made.saw((FOREIGN,), 23)

    assert first == CallbackRemoveRequest(0)
    assert (made.is_released, made.step, made.look_at) == (True, None, None)


def test_giving_back_is_not_tried_twice() -> None:
    made = held()
    made.release(20, can_ask=True)
    made.failed(25)

    assert (made.is_released, made.look_at, made.step) == (True, None, None)


def test_while_giving_back_nothing_new_is_wanted() -> None:
    made = held()
    made.release(20, can_ask=False)
    made.set_own(OwnCallback("192.0.2.9", 1, Secret("/x"), "y"), 21)
    made.verify(21)

    assert (made.own, made.look_at) == (OWN, None)


def test_a_stop_forgets_everything_and_touches_no_slot() -> None:
    made = wanting()
    made.saw((), 11)
    made.stop()

    assert (made.own, made.state, made.look_at, made.step) == (None, "off", None, None)
