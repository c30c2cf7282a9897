"""Commands under way, on the time line of a whole gateway: what is sent when, when we look, and how it ends.

The site is ready at 3.2 s; times below count from the moment of the command.
"""

import json
from typing import Any

import pytest

from nuki2mqtt.gateway.commands import MOST_JOINED
from nuki2mqtt.gateway.vocabulary import BridgeAnswered, BridgeOrdered, CallbackReceived, CallBridge
from tests.gateway.builders import (
    CONFIG,
    LINK,
    LOCK,
    LOCKED,
    OPENER,
    OTHER_LINK,
    UNLOCKED,
    called,
    entry,
    only,
    state,
    wall,
)
from tests.gateway.site import NO, YES, Site, failure

QUEUE = CONFIG + "commands: {overlap: queue}\n"
TWO = CONFIG + "  - {host: 192.0.2.11, token: abcdef}\n"
JAMMED, UNLOCKING, LOCKING = state(254, 2), state(2, 2), state(4, 2)
UNKNOWN_OUTCOMES = ("timeout", "reset", "busy", "device_offline", "unexpected_status", "unreadable")
CAUSES = {"busy": "busy", "device_offline": "device_unreachable"}


def ordered(action: object = "unlock", config: str = CONFIG, to: str = "front_door", **fields: Any) -> Site:
    """A command whose order has just gone out."""
    site = Site.at_work(config, **fields)
    site.set(action, to)
    site.wait(0.1)
    assert len(site.orders) == 1
    return site


def doubtful(kind: str = "busy", action: str = "unlock") -> Site:
    site = ordered(action)
    site.answer(failure(kind))
    return site


def acknowledged(action: object = "unlock", config: str = CONFIG) -> Site:
    site = ordered(action, config)
    site.answer(YES)
    return site


def ends(site: Site, to: str = "front_door") -> list[tuple[str, str | None]]:
    return [told for told in site.told(to) if told[0] != "accepted"]


def has_acted(site: Site) -> list[bool]:
    return [result["may_have_acted"] for result in site.results() if result["status"] != "accepted"]


# --- nothing was written yet ---


@pytest.mark.parametrize(("seen_at", "ends_now"), [(5.9, False), (6.1, True)])
def test_what_was_seen_before_the_order_went_to_the_wire_proves_nothing(seen_at: float, *, ends_now: bool) -> None:
    """A slow disk: the order is decided at once, written 6 s later, and somebody turns the key meanwhile."""
    site = ordered("unlock")
    (order,) = site.orders
    decided = site.hand.monotonic
    site.wait(8)
    site.take(site.hand.tell(BridgeOrdered(order.link, order.call_id, decided + 6)))
    site.take(site.hand.tell(CallbackReceived(LINK, called(UNLOCKED), decided + seen_at)))

    assert ends(site) == ([("confirmed", "target")] if ends_now else [])


def test_a_repeat_that_goes_out_late_does_not_forget_what_the_first_one_may_have_done() -> None:
    site = ordered("lock", reports=(entry(UNLOCKED, -5),))
    site.answer(failure("timeout"))
    site.wait(3)
    assert len(site.orders) == 1
    repeat = site.orders[0]
    site.take(site.hand.tell(BridgeOrdered(repeat.link, repeat.call_id, site.hand.monotonic + 3)))
    site.take(site.hand.tell(CallbackReceived(LINK, called(LOCKED), site.hand.monotonic + 1)))

    assert ends(site) == [("confirmed", "target")]


# --- nothing was written ---


def test_a_refused_connection_is_tried_again_after_1_2_and_4_s_identity_first() -> None:
    site = Site.at_work()
    start = site.hand.now
    site.set("unlock")
    for pause in (1.6, 2.6, 4.6, 0.1):
        site.answer(failure("refused"))
        site.wait(pause)

    # The first two come half a second, the gap, after the identity; before the third that was asked already.
    assert site.times("LockAction", start) == pytest.approx([0, 1.5, 4.1, 8.2])
    site.wait(60)
    assert len(site.sent) == 4
    assert (ends(site), has_acted(site)) == ([("failed", "bridge_unreachable")], [False])


def test_no_try_comes_after_the_ttl() -> None:
    site = Site.at_work(CONFIG + "commands: {ttl_s: 3}\n")
    site.set("unlock")
    site.answer(failure("refused"))
    site.wait(1.6)
    site.answer(failure("refused"))
    site.wait(60)

    assert (len(site.sent), ends(site)) == (2, [("failed", "bridge_unreachable")])


def test_an_order_waits_for_the_identity_and_is_not_sent_to_a_bridge_that_does_not_tell_it() -> None:
    site = Site.at_work()
    site.set("unlock")
    site.infos[LINK] = failure("refused")
    site.answer(failure("refused"))
    site.wait(60)

    assert (len(site.sent), ends(site)) == (1, [("failed", "bridge_unreachable")])


def test_when_the_identity_comes_back_in_time_the_order_goes_out() -> None:
    site = Site.at_work()
    site.set("unlock")
    site.infos[LINK] = failure("refused")
    site.answer(failure("refused"))
    site.wait(3.5)
    site.infos.clear()
    site.wait(6)

    assert (len(site.sent), ends(site)) == (2, [])


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("token_refused", "token_refused"),
        ("forbidden", "bridge_said_no"),
        ("bad_request", "bridge_said_no"),
        ("not_paired", "bridge_said_no"),
    ],
)
@pytest.mark.parametrize("action", ["unlock", "lock"])
def test_a_status_that_means_no_ends_the_command_and_it_did_not_act(action: str, kind: str, reason: str) -> None:
    site = doubtful(kind, action)
    site.wait(100)

    assert (len(site.sent), ends(site), has_acted(site)) == (1, [("failed", reason)], [False])


def test_a_clear_no_ends_the_command() -> None:
    site = ordered()
    site.answer(NO)
    site.wait(100)

    assert (len(site.sent), ends(site), has_acted(site)) == (1, [("failed", "bridge_said_no")], [False])


def test_a_command_is_not_sent_after_its_ttl() -> None:
    """Another lock's order keeps the Bridge busy."""
    site = ordered()
    site.set("open", "gate")
    site.wait(9.9)
    before = ends(site, "gate")
    site.wait(0.2)
    site.answer(YES)
    site.wait(5)

    assert (before, ends(site, "gate")) == ([], [("expired", "busy")])
    assert site.sent == [(LOCK, 1)]


def test_a_command_that_is_due_at_its_very_deadline_is_not_sent() -> None:
    site = ordered()
    site.set({"action": "open", "ttl_s": 2}, "gate")
    site.wait(2)
    site.answer(YES)
    site.wait(5)

    assert (site.sent, ends(site, "gate")) == ([(LOCK, 1)], [("expired", "busy")])


@pytest.mark.parametrize("kind", ["refused", "token_refused", "busy"])
def test_a_wait_for_a_bridge_in_trouble_ends_with_its_reason(kind: str) -> None:
    site = Site.at_work()
    site.infos[LINK] = failure(kind)
    site.lists[LINK] = failure("timeout")
    site.wait(60)
    site.set("unlock")
    site.wait(15)
    reasons = {"refused": "bridge_unreachable"}

    assert site.sent == []
    assert ends(site) == [("failed", reasons.get(kind, kind))]


# --- opening commands: never twice ---


@pytest.mark.parametrize("action", ["unlock", "unlatch", "lock_n_go", "lock_n_go_unlatch"])
@pytest.mark.parametrize("kind", UNKNOWN_OUTCOMES)
def test_an_opening_command_with_an_unknown_outcome_is_never_sent_again(action: str, kind: str) -> None:
    site = doubtful(kind, action)
    site.wait(12)
    site.answer_read(failure("timeout"))
    site.wait(600)

    assert len(site.sent) == 1
    assert (ends(site), has_acted(site)) == ([("unconfirmed", "bridge_unreachable")], [True])


@pytest.mark.parametrize("action", ["activate_rto", "electric_strike", "activate_cm"])
def test_the_same_holds_of_an_opener(action: str) -> None:
    site = ordered(action, to="gate")
    site.answer(failure("busy"))
    site.wait(12)
    site.answer_read(failure("timeout"))
    site.wait(600)

    assert (len(site.sent), ends(site, "gate")) == (1, [("unconfirmed", "bridge_unreachable")])


def test_in_doubt_we_look_by_list_then_once_by_a_direct_read_from_10_s_on() -> None:
    site = doubtful()
    start = site.hand.now
    site.wait(9.9)
    before = (site.times("List", start), len(site.reads))
    site.wait(0.6)

    # A Bridge that failed rests for 2 s; after that at most one list in 2 s.
    assert before == ([2.0, 5.0], 0)
    assert site.times("LockState", start) == [pytest.approx(10, abs=0.51)]
    site.answer_read(None)
    site.wait(100)
    assert len(site.times("LockState", start)) == 1


@pytest.mark.parametrize("kind", UNKNOWN_OUTCOMES)
def test_a_direct_read_that_shows_it_unmoved_makes_it_fail_without_having_acted(kind: str) -> None:
    site = doubtful(kind)
    site.wait(13)
    site.answer_read(LOCKED)

    # After a 410 we do not vouch for the state, but the one before the order was vouched for.
    assert (ends(site), has_acted(site)) == ([("failed", CAUSES.get(kind, "no_answer"))], [False])


@pytest.mark.parametrize(
    ("read", "end"),
    [
        (UNLOCKED, ("confirmed", "target")),
        (JAMMED, ("failed", "motor_blocked")),
        (state(255, 2), ("unconfirmed", "busy")),
        (None, ("unconfirmed", "device_unreachable")),
        (failure("timeout"), ("unconfirmed", "bridge_unreachable")),
        (failure("device_offline"), ("unconfirmed", "device_unreachable")),
    ],
)
def test_what_a_direct_read_makes_of_a_doubtful_command(read: Any, end: tuple[str, str]) -> None:
    site = doubtful()
    site.wait(11)
    site.answer_read(read)

    assert (ends(site), has_acted(site)) == ([end], [True])


def test_a_lock_n_go_that_is_found_locked_again_is_not_said_to_have_failed() -> None:
    site = doubtful(action="lock_n_go")
    site.wait(11)
    site.answer_read(LOCKED)

    assert (ends(site), has_acted(site)) == ([("unconfirmed", "busy")], [True])


def test_only_a_read_that_was_sent_from_10_s_on_decides_that_it_did_not_act() -> None:
    """A Bridge may carry an order out some seconds after its 503; a read before that says nothing."""
    site = doubtful()
    site.get({"force": True})
    site.wait(3)
    assert len(site.reads) == 1
    site.wait(8)
    site.answer_read(LOCKED)

    assert ("failed", "busy") not in ends(site)


def test_evidence_settles_a_doubtful_command_at_once_and_no_read_is_made() -> None:
    site = doubtful()
    site.wait(1)
    site.call_back(UNLOCKED)
    site.wait(30)

    assert ends(site) == [("confirmed", "target")]
    assert site.times("LockState") == []


def test_a_read_that_waits_behind_another_order_is_not_made_when_it_is_evident() -> None:
    site = doubtful()
    site.wait(8)
    site.set("open", "gate")
    site.wait(4)
    waiting = len(site.hand.gateway._following.links[LINK].reads)
    site.call_back(UNLOCKED)
    site.answer(YES)
    site.wait(30)

    assert (waiting, ends(site)) == (1, [("confirmed", "target")])
    assert site.times("LockState") == []


def test_a_list_entry_settles_it_too() -> None:
    site = doubtful()
    site.list_says(UNLOCKED, site.hand.now)
    site.wait(3)

    assert ends(site) == [("confirmed", "target")]


def test_with_the_reserve_of_the_day_spent_it_ends_without_a_read() -> None:
    site = Site.at_work()
    for _ in range(48):
        site.set("unlock")
        site.wait(0.6)
        site.answer(failure("busy"))
        site.wait(11)
        site.answer_read(LOCKED)
        site.wait(5)
    site.set("unlock")
    site.wait(0.6)
    site.answer(failure("busy"))
    site.wait(60)

    assert len(site.times("LockState")) == 48
    assert ends(site) == [("failed", "busy")] * 48 + [("unconfirmed", "busy")]


def test_a_read_that_does_not_come_is_not_waited_for_forever() -> None:
    site = doubtful()
    site.wait(11)
    site.wait(45)

    assert (ends(site), len(site.reads)) == ([("unconfirmed", "busy")], 1)


# --- closing commands: repeated ---


@pytest.mark.parametrize(("action", "to"), [("lock", "front_door"), ("deactivate_rto", "gate"), ("lock", "gate")])
def test_a_closing_command_is_repeated_after_2_4_and_8_s_and_then_looked_for(action: str, to: str) -> None:
    site = Site.at_work()
    start = site.hand.now
    site.set(action, to)
    for pause in (2, 4, 8, 9.9):
        site.answer(failure("busy"))
        site.wait(pause)
    before = (site.times("LockAction", start), len(site.reads))
    site.wait(0.7)

    assert before == ([0, 2, 6, 14], 0)
    assert len(site.reads) == 1
    site.answer_read(None)
    site.wait(600)
    assert (len(site.sent), ends(site, to)) == (4, [("unconfirmed", "device_unreachable")])


def test_a_repeated_command_that_gets_its_answer_is_confirmed_by_it() -> None:
    site = ordered("lock")
    site.answer(failure("timeout"))
    site.wait(3)
    site.answer(YES)
    site.call_back(LOCKED)

    assert (len(site.sent), ends(site)) == (2, [("confirmed", "answer")])


@pytest.mark.parametrize("said", [LOCKED, UNLOCKED])
def test_a_repeat_is_not_sent_any_more_when_it_is_evident(said: Any) -> None:
    site = ordered("lock")
    site.call_back(UNLOCKED)
    site.answer(failure("busy"))
    site.wait(1)
    site.call_back(said)
    site.wait(600)

    assert len(site.sent) == (1 if said is LOCKED else 2)


def test_what_was_seen_on_its_way_before_the_answer_is_not_sent_again_either() -> None:
    site = Site.at_work(reports=(entry(UNLOCKED, -5),))
    site.set("lock")
    site.call_back(LOCKING)
    site.answer(failure("busy"))
    site.wait(30)

    assert len(site.sent) == 1


def test_no_repeat_comes_60_s_after_the_command() -> None:
    site = ordered("lock")
    site.wait(57.8)
    site.answer(failure("timeout"))
    site.wait(600)

    assert len(site.sent) == 1


def test_a_repeat_that_cannot_be_sent_for_want_of_the_identity_waits_and_is_given_up_after_60_s() -> None:
    site = ordered("lock")
    site.infos[LINK] = failure("timeout")
    site.answer(failure("timeout"))
    site.wait(58)
    before = ends(site)
    site.infos.clear()
    site.wait(600)

    assert before == []
    assert len(site.sent) <= 2
    assert len(ends(site)) == 1


def test_a_no_to_a_repeat_says_nothing_of_the_first_try() -> None:
    site = ordered("lock")
    site.answer(failure("timeout"))
    site.wait(3)
    site.answer(NO)

    assert (ends(site), has_acted(site)) == ([("failed", "bridge_said_no")], [True])


# --- acknowledged ---


def test_after_the_answer_we_look_after_2_5_and_10_s_and_once_directly_when_the_time_is_up() -> None:
    site = acknowledged(config=CONFIG + "poll: {list_s: 3600}\n")
    start = site.hand.now
    site.wait(44.9)
    before = (site.times("List", start), len(site.reads))
    site.wait(0.2)

    assert before == ([2, 5, 10], 0)
    assert site.times("LockState", start) == [45]
    site.answer_read(LOCKED)
    # The Bridge said that it did: seen unmoved is not enough to say that it did not.
    assert (ends(site), has_acted(site)) == ([("unconfirmed", None)], [True])


def test_the_time_for_evidence_is_a_setting_and_runs_from_the_answer() -> None:
    site = ordered(config=CONFIG + "commands: {confirm_s: 7}\n")
    site.wait(30)
    site.answer(YES)
    site.wait(6.9)
    before = len(site.reads)
    site.wait(0.2)

    assert (before, len(site.reads)) == (0, 1)


@pytest.mark.parametrize(
    ("read", "end"),
    [
        (UNLOCKED, ("confirmed", "target")),
        (None, ("unconfirmed", "device_unreachable")),
        (failure("busy"), ("unconfirmed", None)),
        (JAMMED, ("failed", "motor_blocked")),
    ],
)
def test_what_the_last_look_makes_of_it(read: Any, end: tuple[str, str | None]) -> None:
    site = acknowledged()
    site.wait(45.1)
    site.answer_read(read)
    site.wait(3)
    if end == ("unconfirmed", None):
        for _ in range(2):
            site.answer_read(read)
            site.wait(9)
        end = ("unconfirmed", "bridge_unreachable")

    assert ends(site) == [end]


def test_the_answer_and_a_later_report_confirm_what_was_there_already() -> None:
    site = acknowledged("lock")
    site.call_back(LOCKED)

    assert ends(site) == [("confirmed", "answer")]


def test_a_report_before_the_answer_does_not_confirm_what_was_there_already() -> None:
    site = ordered("lock")
    site.call_back(LOCKED)
    site.answer(YES)

    assert ends(site) == []


def test_seen_on_its_way_is_confirmed_when_it_rests() -> None:
    site = acknowledged()
    site.call_back(UNLOCKING)
    before = ends(site)
    site.call_back(UNLOCKED)

    assert (before, ends(site)) == ([], [("confirmed", "transition")])


def test_seen_on_its_way_and_then_blocked_has_failed() -> None:
    site = acknowledged()
    site.call_back(UNLOCKING)
    site.call_back(JAMMED)

    assert (ends(site), has_acted(site)) == ([("failed", "motor_blocked")], [True])


def test_seen_on_its_way_and_never_again_is_confirmed_by_that_when_its_time_is_up() -> None:
    site = acknowledged()
    site.call_back(UNLOCKING)
    site.wait(200)

    assert ends(site) == [("confirmed", "transition")]


# --- before the answer ---


@pytest.mark.parametrize("late", [YES, NO, failure("timeout"), failure("busy"), failure("refused")])
def test_what_is_evident_before_the_answer_stays_what_it_is(late: Any) -> None:
    site = ordered()
    site.call_back(UNLOCKED)
    before = ends(site)
    site.answer(late)
    site.wait(200)

    assert before == ends(site) == [("confirmed", "target")]
    assert len(site.sent) == 1


def test_the_lane_is_busy_until_the_answer_even_if_the_command_has_ended() -> None:
    site = ordered()
    site.call_back(UNLOCKED)
    site.set("unlatch")
    site.set("lock")
    before = list(site.sent)
    site.wait(5)
    site.answer(failure("timeout"))
    site.wait(5)

    assert site.told()[1:4] == [("confirmed", "target"), ("refused", "busy"), ("accepted", "queued")]
    assert (before, site.sent) == ([(LOCK, 1)], [(LOCK, 1), (LOCK, 2)])


# --- one at a time ---


def test_a_different_opening_action_is_refused_while_the_answer_is_outstanding() -> None:
    site = ordered("lock")
    site.set("unlock")

    assert site.told() == [("accepted", None), ("refused", "busy")]


@pytest.mark.parametrize(("action", "config"), [("lock", CONFIG), ("unlatch", QUEUE)])
def test_what_closes_always_waits_and_what_opens_where_it_may(action: str, config: str) -> None:
    site = ordered("unlock", config)
    site.set(action)
    before = len(site.sent)
    site.answer(YES)
    site.wait(0.6)

    assert (before, len(site.sent)) == (1, 2)
    assert site.told() == [("accepted", None), ("accepted", "queued"), ("unconfirmed", "superseded")]


def test_a_waiting_one_is_replaced_by_a_newer() -> None:
    site = ordered("unlock", QUEUE)
    site.set({"action": "unlatch", "transaction": "first"})
    site.set({"action": "lock", "transaction": "second"})
    site.answer(YES)
    site.wait(0.6)
    told = {result["transaction"]: (result["status"], result["reason"]) for result in site.results()}

    assert told["first"] == ("refused", "superseded")
    assert site.sent == [(LOCK, 1), (LOCK, 2)]


def test_what_was_replaced_may_be_given_again() -> None:
    site = ordered("unlock", QUEUE)
    site.set({"action": "unlatch", "transaction": "x"})
    site.set("lock")
    site.set({"action": "unlatch", "transaction": "x"})

    assert site.told()[-1] == ("accepted", "queued")


def test_a_waiting_one_expires() -> None:
    site = ordered("unlock")
    site.set("lock")
    site.wait(10.1)
    site.answer(YES)
    site.wait(3)

    assert site.told()[1:] == [("accepted", "queued"), ("expired", "busy")]
    assert len(site.sent) == 1


def test_after_the_answer_a_different_action_goes_at_once_and_the_former_ends_superseded() -> None:
    site = acknowledged()
    site.wait(1)
    site.set("lock")

    assert site.told() == [("accepted", None), ("accepted", None), ("unconfirmed", "superseded")]
    assert site.sent == [(LOCK, 1), (LOCK, 2)]


def test_what_was_seen_on_its_way_is_not_superseded_but_confirmed() -> None:
    site = acknowledged()
    site.call_back(UNLOCKING)
    site.set("lock")

    assert ends(site) == [("confirmed", "transition")]


@pytest.mark.parametrize("kind", ["busy", "timeout"])
def test_a_newer_command_takes_the_lane_from_a_doubtful_one_and_its_read_is_not_made(kind: str) -> None:
    site = doubtful(kind)
    site.wait(5)
    site.set("lock")
    site.wait(3)
    site.answer(YES)
    site.wait(10)

    assert ends(site) == [("unconfirmed", "superseded")]
    assert (site.sent, site.times("LockState")) == ([(LOCK, 1), (LOCK, 2)], [])


def test_a_newer_command_takes_the_lane_from_one_that_is_to_be_repeated() -> None:
    site = ordered("lock")
    site.answer(failure("busy"))
    site.set("unlock")
    site.wait(600)

    assert [code for _, code in site.sent] == [2, 1]


def test_devices_do_not_wait_for_each_other_s_evidence_but_for_the_bridge() -> None:
    site = ordered()
    site.set("open", "gate")
    site.wait(1)
    before = list(site.sent)
    site.answer(YES)
    site.wait(0.6)

    assert (before, site.sent) == ([(LOCK, 1)], [(LOCK, 1), (OPENER, 3)])


# --- joined ---


@pytest.mark.parametrize("key", [{}, {"transaction": "b"}])
def test_an_equal_command_before_the_answer_is_joined_and_gets_the_same_end(key: dict[str, str]) -> None:
    site = ordered()
    site.wait(7)
    site.set({"action": "unlock"} | key)
    site.answer(YES)
    site.call_back(UNLOCKED)

    assert site.told() == [
        ("accepted", None),
        ("accepted", "joined"),
        ("confirmed", "target"),
        ("confirmed", "target"),
    ]
    assert [result["transaction"] for result in site.results()] == [None, key.get("transaction")] * 2
    assert len(site.sent) == 1


@pytest.mark.parametrize(("pause", "is_joined"), [(4.9, True), (5.1, False)])
@pytest.mark.parametrize("has_ended", [False, True])
def test_a_bare_equal_opening_command_within_5_s_is_joined(pause: float, *, is_joined: bool, has_ended: bool) -> None:
    site = acknowledged()
    if has_ended:
        site.call_back(UNLOCKED)
    site.wait(pause - 0.1)
    site.set("unlock")
    site.wait(1)

    assert len(site.sent) == (1 if is_joined else 2)
    assert (("accepted", "joined") in site.told()) is is_joined
    if has_ended and is_joined:
        assert ends(site) == [("confirmed", "target")] * 2


def test_with_a_key_of_its_own_an_equal_command_after_the_answer_is_another_one() -> None:
    site = acknowledged()
    site.set({"action": "unlock", "transaction": "b"})
    site.wait(1)

    assert len(site.sent) == 2


def test_what_did_not_act_may_be_tried_again_at_once() -> None:
    site = ordered()
    site.answer(NO)
    site.set("unlock")
    site.wait(0.6)

    assert len(site.sent) == 2


def test_a_closing_command_is_not_joined_to_one_that_has_its_answer() -> None:
    site = acknowledged("lock")
    site.set("lock")
    site.wait(0.6)

    assert len(site.sent) == 2


def test_an_equal_one_is_joined_to_the_one_that_waits() -> None:
    site = ordered("unlock")
    site.set("lock")
    site.set("lock")
    site.answer(YES)
    site.wait(1)

    assert site.told()[1:3] == [("accepted", "queued"), ("accepted", "joined")]
    assert site.sent == [(LOCK, 1), (LOCK, 2)]


def test_at_most_a_hundred_are_joined() -> None:
    site = ordered()
    for _ in range(MOST_JOINED + 1):
        site.set("unlock")

    assert MOST_JOINED == 100
    assert site.told()[-2:] == [("accepted", "joined"), ("refused", "busy")]
    site.answer(NO)
    assert ends(site) == [("refused", "busy")] + [("failed", "bridge_said_no")] * 101


# --- repeats by key ---


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"transaction": "a"}, {"transaction": "a"}),
        ({"transaction": {"x": 1, "y": 2}}, {"transaction": {"y": 2, "x": 1}}),
        ({"ts": "2026-11-22T12:00:03Z"}, {"ts": "2026-11-22T13:00:03+01:00"}),
        ({"ts": "2026-11-22T12:00:03Z"}, {"ts": 1795348803}),
    ],
)
@pytest.mark.parametrize("action", ["unlock", "lock"])
def test_the_repeat_of_a_command_is_refused(action: str, first: dict[str, Any], second: dict[str, Any]) -> None:
    site = acknowledged({"action": action} | first)
    site.wait(2)
    site.set({"action": action} | second)

    assert (site.told()[-1], len(site.sent)) == (("refused", "duplicate"), 1)


def test_a_key_belongs_to_an_action() -> None:
    site = acknowledged({"action": "unlock", "transaction": "a"})
    site.set({"action": "lock", "transaction": "a"})
    site.wait(0.6)

    assert len(site.sent) == 2


# --- two Bridges ---


def with_two(action: str) -> tuple[Site, str]:
    """An order on one of two Bridges, and its link."""
    site = ordered(action, TWO)
    return site, site.orders[0].link


def links_of(site: Site) -> list[str]:
    return [call.link for call in only(site.effects, CallBridge) if type(call.request).__name__ == "LockActionRequest"]


@pytest.mark.parametrize("kind", ["timeout", "reset", "busy", "unreadable"])
def test_after_a_byte_went_to_a_bridge_the_order_never_goes_to_the_second(kind: str) -> None:
    site, first = with_two("lock")
    site.infos[first] = failure("refused")
    site.answer(failure(kind))
    site.wait(40)
    for _ in range(4):
        if site.orders:
            site.answer(failure(kind))
        site.wait(20)

    assert set(links_of(site)) == {first}


def test_a_refused_connection_lets_the_second_bridge_have_it() -> None:
    site, first = with_two("unlock")
    site.infos[first] = failure("refused")
    site.answer(failure("refused"))
    site.wait(3)

    assert [*links_of(site)] == [first, {LINK: OTHER_LINK, OTHER_LINK: LINK}[first]]


def test_the_look_goes_to_the_bridge_that_had_the_order() -> None:
    site, first = with_two("unlock")
    site.answer(failure("busy"))
    site.wait(13)

    assert [read.link for read in site.reads] == [first]


def test_a_read_of_the_other_bridge_that_was_sent_before_the_order_decides_nothing() -> None:
    """It is from before the order: that the lock was unmoved then says nothing of the order."""
    site = Site.at_work(TWO)
    site.hand.gateway._following.links[LINK].want_lock_state(LOCK, 0, site.hand.moment)
    site.hand.gateway._rests_until = None  # it was not told
    site.wait(0.6)
    (read,) = site.reads
    site.set("unlock")
    site.wait(0.6)
    (order,) = site.orders
    assert (read.link, order.link) == (LINK, OTHER_LINK)
    site.answer(failure("busy"))
    site.wait(10.5)
    site.answer_read(LOCKED)

    assert ("failed", "busy") not in ends(site)


def test_a_late_answer_of_the_other_bridge_is_not_taken_for_the_answer_to_a_newer_command() -> None:
    """The base was another gateway's in between, and the former order is still on its way to its Bridge."""
    site, first = with_two("unlock")
    claim = json.dumps({"instance": "0000ffff", "started": wall(-500).isoformat()}).encode()
    site.receive("nuki2mqtt/gateway/info", claim)
    site.reconnect()
    site.receive("nuki2mqtt/gateway/state", b"offline")
    site.wait(1)
    site.reconnect()
    site.wait(5)
    site.set({"action": "unlock", "transaction": "newer"})
    site.wait(1)
    late = [call.link for call in site.orders]
    site.answer(NO)

    assert late[0] == first
    assert ("failed", "bridge_said_no") not in ends(site)


def test_a_callback_that_arrived_before_the_order_went_out_proves_nothing_of_it() -> None:
    """The process stood at a slow disk: by hand somebody locked and unlocked, and then our `lock` got its turn."""
    site = Site.at_work(reports=(entry(UNLOCKED, -5),))
    arrived = site.hand.monotonic
    site.hand.monotonic += 3
    site.set({"action": "lock", "transaction": "a"}, received=arrived)
    for later_s, said in ((1, LOCKED), (2, UNLOCKED)):
        site.take(site.hand.tell(CallbackReceived(LINK, called(said), arrived + later_s)))
    site.list_says(UNLOCKED, site.hand.now)
    site.answer(failure("refused"))
    site.wait(3)

    assert site.told() == [("accepted", None)]
    assert site.sent == [(LOCK, 2), (LOCK, 2)]


def test_a_callback_that_arrived_after_the_answer_counts_though_both_waited() -> None:
    site = Site.at_work(reports=(entry(LOCKED, -5),))
    site.set("lock")
    call, sent = site.orders.pop(), site.hand.monotonic
    site.hand.monotonic += 6
    site.take(site.hand.tell(BridgeAnswered(LINK, call.call_id, YES, received=sent + 1)))
    site.take(site.hand.tell(CallbackReceived(LINK, called(LOCKED), sent + 4)))

    assert site.told()[-1] == ("confirmed", "answer")
