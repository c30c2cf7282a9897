"""One request at a time to the cloud: what goes first, how often it is polled, and what its troubles cost."""

import itertools

import pytest

from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.gateway.vocabulary import WebAnswered
from nuki2mqtt.gateway.web_jobs import MOST_WAITING
from nuki2mqtt.gateway.web_link import RETRIES_S, THROTTLE_RETRIES_S, WebLink
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.settings import NukiWebSettings
from nuki2mqtt.protocol.web_api import (
    ActivityAnswer,
    ActivityRequest,
    AuthorizationDeleteRequest,
    AuthorizationListRequest,
    DeviceActionRequest,
    DeviceListRequest,
    DeviceRequest,
    DoneAnswer,
    SyncRequest,
)
from tests.gateway.builders import LOCK, ZERO, moment
from tests.gateway.cloud_desk import FAILURES, LOCK_ID, NO_DEVICES, Desk, unlock

LOG = ActivityRequest(LOCK_ID)
DOWN = FAILURES[WebErrorKind.SERVER_ERROR]
REFUSED = FAILURES[WebErrorKind.TOKEN_REFUSED]


def desk() -> Desk:
    return Desk().start()


def gaps(times: list[float]) -> list[float]:
    return [later - sooner for sooner, later in itertools.pairwise(times)]


# --- cadence ---


def test_nothing_is_asked_before_the_start_and_without_a_token() -> None:
    idle, poor = Desk(), Desk(WebLink(NukiWebSettings())).start()

    assert (idle.link.next_deadline(), poor.link.next_deadline(), poor.sent) == (None, None, [])
    assert poor.link.ask(LOG, moment(0)) is None


def test_one_poll_for_all_devices_in_poll_s() -> None:
    assert desk().run(185).sent == [
        (0.0, "DeviceList"),
        (60.0, "DeviceList"),
        (120.0, "DeviceList"),
        (180, "DeviceList"),
    ]


def test_the_cadence_counts_from_the_sending() -> None:
    slow = desk()
    slow.answer_s = 25.0

    assert slow.run(130).times_of("DeviceList") == [0, 60, 120]


def test_webhooks_slow_the_polls_down_until_one_is_lost() -> None:
    made = desk().run(10)
    made.link.hook_came(moment(10), LOCK)
    made.run(1000)
    slow = made.times_of("DeviceList")
    made.link.told_by_poll(LOCK, moment(1000))
    made.run(1100)

    assert slow == [0, 60, 360, 660, 960]  # the poll that was planned, then every 300 s
    assert made.times_of("DeviceList")[5:] == [1020.0, 1080.0]
    assert made.texts() == [("info", "A webhook of Nuki Web was lost: polling at full speed until the next one comes.")]


def test_a_webhook_that_comes_after_its_poll_is_not_lost() -> None:
    made = desk().run(10)
    made.link.hook_came(moment(10))
    made.link.told_by_poll(LOCK, moment(12))
    made.link.hook_came(moment(16), LOCK)
    made.run(100)

    assert (made.link.has_webhooks(ZERO + 100), made.link.interval_s(ZERO + 100)) == (True, 300.0)


def test_after_a_day_without_any_webhook_nobody_relies_on_them() -> None:
    made = desk()
    made.link.hook_came(moment(0))

    assert [made.link.has_webhooks(ZERO + at) for at in (86_399, 86_400)] == [True, False]


def test_who_polls_more_slowly_than_that_goes_on() -> None:
    link = WebLink(NukiWebSettings(token=Secret("t"), poll_s=600))
    link.hook_came(moment(0))

    assert link.interval_s(ZERO) == 600


@pytest.mark.parametrize(("at", "poll"), [(0.5, 5.0), (3.0, 5.0), (20.0, 21.0), (59.5, 60.0)])
def test_a_hint_brings_the_poll_forward_never_back_and_not_too_often(at: float, poll: float) -> None:
    made = desk().run(at)
    made.link.bring_list_forward(moment(at))

    assert made.run(61).times_of("DeviceList")[1] == poll


def test_after_a_command_the_poll_comes_at_once() -> None:
    made = desk().run(20)
    made.link.ask_list_now(moment(20))
    made.tick()

    assert made.times_of("DeviceList") == [0, 20]


def test_a_hint_during_a_poll_makes_another_one() -> None:
    made = desk()
    made.at = 0.1
    made.link.bring_list_forward(moment(0.1))

    assert made.run(70).times_of("DeviceList") == [0, 5, 65]


# --- order ---


def test_the_most_urgent_goes_first() -> None:
    made = desk()
    requests = (
        SyncRequest(LOCK_ID),
        LOG,
        AuthorizationListRequest(LOCK_ID),
        AuthorizationDeleteRequest(LOCK_ID, "5f0000000000000000000001"),
        DeviceRequest(LOCK_ID),
        unlock(),
    )
    for request in requests:
        assert made.link.ask(request, moment(0)) is not None
    made.link.ask_list_now(moment(0))
    made.run(4)

    assert [name for _, name in made.sent] == [
        "DeviceList",  # under way when the others came
        "DeviceAction",
        "Device",
        "DeviceList",  # due 1 s after the former one
        "AuthorizationDelete",
        "AuthorizationList",
        "Activity",
        "Sync",
    ]
    assert made.link.forced_syncs == 1


def test_equals_go_in_the_order_in_which_they_came() -> None:
    made = desk()
    asks = [made.link.ask(ActivityRequest(number), moment(0)) for number in (3, 1, 2)]
    made.run(5)

    assert [one.ask_id for one in made.ended if one.ask_id is not None] == asks


def test_what_is_due_later_waits() -> None:
    made = desk()
    made.link.ask(LOG, moment(0), due=ZERO + 15)

    assert made.run(30).times_of("Activity") == [15]


def test_a_slow_read_is_dropped_for_an_order_and_asked_again() -> None:
    made = desk()
    made.at = 1.0
    made.link.ask(unlock(), moment(1))
    assert made.link.next_deadline() == ZERO + 2
    made.at = 2.0
    made.tick()
    made.answer(DoneAnswer())
    made.run(3)

    assert (made.dropped, made.sent[:2]) == ([1], [(0.0, "DeviceList"), (2.0, "DeviceAction")])
    assert made.sent[2] == (2.25, "DeviceList")


def test_what_somebody_asked_to_read_is_asked_again_too_and_ends_once() -> None:
    made = desk()
    made.answer()
    asked = made.link.ask(LOG, moment(0.25))
    made.at = 0.25
    made.tick()
    made.at = 3.0
    made.link.ask(unlock(), moment(3))
    made.tick()
    made.run(5)

    assert [name for _, name in made.sent] == ["DeviceList", "Activity", "DeviceAction", "Activity"]
    assert made.ends_of(asked) == [ActivityAnswer(())]


def test_a_write_is_never_dropped() -> None:
    made = desk()
    made.answer()
    made.link.ask(SyncRequest(LOCK_ID), moment(0.25))
    made.at = 0.25
    made.tick()
    made.at = 20.0
    made.link.ask(unlock(), moment(20))
    made.tick()

    assert (made.dropped, made.link.next_deadline()) == ([], None)


def test_the_answer_of_a_dropped_call_is_ignored() -> None:
    made = desk()
    made.at = 5.0
    made.link.ask(unlock(), moment(5))
    made.tick()

    assert made.link.handle_answer(WebAnswered(1, NO_DEVICES), moment(5)) == []
    assert made.link.take_ended() == []


def test_an_order_that_waited_too_long_ends_and_is_not_sent() -> None:
    made = desk()
    made.answer_s = 25.0
    made.answer()
    made.link.ask(SyncRequest(LOCK_ID), moment(0.25))
    made.at = 0.25
    made.tick()
    asked = made.link.ask(unlock(), moment(1), not_after=ZERO + 11)
    made.run(20)

    assert (made.times_of("DeviceAction"), made.ends_of(asked)) == ([], [WebError(WebErrorKind.TOO_LATE)])
    assert [one.received for one in made.ended if one.ask_id == asked] == [ZERO + 11]
    assert [one.sent for one in made.ended if one.ask_id == asked] == [None]


def test_what_is_withdrawn_is_not_sent_and_not_told() -> None:
    made = desk()
    asked = made.link.ask(unlock(), moment(0))
    made.link.withdraw(asked or 0)

    assert (made.run(30).times_of("DeviceAction"), made.ends_of(asked)) == ([], [])


def test_too_much_is_refused() -> None:
    made = desk()
    asks = [made.link.ask(LOG, moment(0)) for _ in range(MOST_WAITING + 1)]

    assert (asks.count(None), asks[-1], made.link.health(ZERO).queue) == (1, None, MOST_WAITING)


# --- trouble ---


def test_a_failing_poll_is_tried_again_after_growing_delays_and_told_once() -> None:
    made = desk()
    made.failing[DeviceListRequest] = DOWN
    made.answer_s = 0.0
    made.run(sum(RETRIES_S) + 1000)

    assert gaps(made.times_of("DeviceList")) == [5, 10, 20, 40, 80, 160, 300, 300, 300, 300]
    assert [level for level, _ in made.texts()] == ["warning", *["debug"] * 10]
    assert made.link.health(ZERO).reachable is False
    made.failing.clear()
    made.run(made.at + 400)
    assert made.texts()[-1] == ("info", "Nuki Web answers again.")
    assert (made.link.health(ZERO).reachable, made.link.problem) == (True, None)


@pytest.mark.parametrize(("chance", "delay"), [(0.0, 3.75), (0.5, 5.0), (1.0, 6.25), (7.0, 6.25), (-1.0, 3.75)])
def test_chance_spreads_the_retries(chance: float, delay: float) -> None:
    made = desk()
    made.chance = chance
    made.answer(DOWN)

    assert made.link.next_deadline() == ZERO + delay


@pytest.mark.parametrize(
    "kind",
    [
        WebErrorKind.REFUSED,
        WebErrorKind.TIMEOUT,
        WebErrorKind.RESET,
        WebErrorKind.SERVER_ERROR,
        WebErrorKind.UNEXPECTED_STATUS,
        WebErrorKind.UNREADABLE,
        WebErrorKind.NOT_FOUND,
        WebErrorKind.BAD_REQUEST,
    ],
)
def test_whatever_a_poll_fails_by_it_is_a_problem_and_goes_on(kind: WebErrorKind) -> None:
    made = desk()
    made.answer(WebError(kind, "HTTP 500"))
    health = made.link.health(ZERO)

    assert (health.reachable, health.problem is None, made.link.next_deadline()) == (False, False, ZERO + 5)


def test_while_the_poll_fails_only_it_and_what_is_urgent_goes_out() -> None:
    made = desk()
    made.answer(DOWN)
    log, order = made.link.ask(LOG, moment(0)), made.link.ask(unlock(), moment(0))
    made.failing[DeviceListRequest] = DOWN
    made.run(100)
    assert (made.ends_of(log), made.ends_of(order)) == ([], [DoneAnswer()])
    assert made.times_of("DeviceAction") == [0.25]
    made.failing.clear()
    made.run(200)
    assert made.ends_of(log) == [ActivityAnswer(())]


def test_a_hint_does_not_hurry_a_cloud_in_trouble() -> None:
    made = desk()
    made.failing[DeviceListRequest] = DOWN
    made.run(50)
    made.link.bring_list_forward(moment(50))
    made.link.ask_list_now(moment(50))

    assert made.link.next_deadline() == pytest.approx(ZERO + 75, abs=2)


def test_another_failure_is_its_own_and_the_poll_goes_to_see() -> None:
    made = desk().run(20)
    made.failing[ActivityRequest] = DOWN
    asked = made.link.ask(LOG, moment(20))
    made.run(110)

    assert made.ends_of(asked) == [DOWN]
    assert made.times_of("DeviceList") == [0, 22.2, 82.2]
    assert (made.texts(), made.link.is_in_trouble) == ([], False)


@pytest.mark.parametrize("kind", [WebErrorKind.LOCKED, WebErrorKind.CONFLICT, WebErrorKind.BAD_REQUEST])
def test_a_no_to_one_request_is_no_trouble(kind: WebErrorKind) -> None:
    made = desk().run(20)
    made.failing[DeviceActionRequest] = WebError(kind)
    asked = made.link.ask(unlock(), moment(20))
    made.run(59)

    assert (made.ends_of(asked), made.times_of("DeviceList")) == ([WebError(kind)], [0])


def test_an_outage_that_turns_into_a_refused_token_holds_nothing_back_any_more() -> None:
    made = desk()
    made.answer(DOWN)
    made.failing[DeviceListRequest] = REFUSED
    asked = made.link.ask(LOG, moment(0))
    made.run(10)

    assert (made.link.is_in_trouble, made.ends_of(asked)) == (False, [ActivityAnswer(())])


def test_an_order_that_went_through_brings_the_poll_forward() -> None:
    made = desk()
    made.failing[DeviceListRequest] = DOWN
    made.run(200)
    made.failing.clear()
    made.link.ask(unlock(), moment(200))
    made.run(210)

    assert made.times_of("DeviceList")[-1] == 205
    assert not made.link.is_in_trouble


# --- throttling ---


def test_a_retry_after_is_honoured_for_everything() -> None:
    made = desk()
    made.answer(WebError(WebErrorKind.TOO_MANY, "HTTP 429", retry_after_s=120))
    made.link.ask(unlock(), moment(0))
    made.run(300)

    assert made.times_of("DeviceAction") == [120]
    assert made.times_of("DeviceList")[1] == 120 + 0.25 * 60  # and not all gateways at once
    assert made.link.throttled == 1


def test_a_429_without_one_spares_orders_and_grows() -> None:
    made = desk()
    made.failing[DeviceListRequest] = WebError(WebErrorKind.TOO_MANY, "HTTP 429")
    made.answer_s = 0.0
    made.link.ask(unlock(), moment(1), due=ZERO + 1)
    made.link.ask(DeviceRequest(LOCK_ID), moment(1))
    made.link.ask(LOG, moment(1))
    made.run(4000)

    assert made.times_of("DeviceAction") == [1]
    assert (made.times_of("Activity"), made.times_of("Device")) == ([], [60])
    # The look went through first, which begins the delays anew.
    assert gaps(made.times_of("DeviceList")) == [60.25, *THROTTLE_RETRIES_S, 900, 900]


# --- scopes ---


def test_a_missing_scope_is_told_once_and_only_its_feature_is_missing() -> None:
    made = desk()
    made.failing[ActivityRequest] = REFUSED
    first = made.link.ask(LOG, moment(0))
    made.run(10)
    later = [made.link.ask(LOG, moment(10)), made.link.ask(ActivityRequest(), moment(10))]
    other = made.link.ask(AuthorizationListRequest(LOCK_ID), moment(10))
    made.run(30)

    assert made.ends_of(first) == [REFUSED]
    ends = [end for ask in later for end in made.ends_of(ask)]
    assert [str(end.kind) for end in ends if isinstance(end, WebError)] == ["token_refused"] * 2
    assert len(made.times_of("Activity")) == 1
    assert made.ends_of(other) != []
    [(level, text)] = made.texts()
    assert (level, text.startswith("Nuki Web refuses the token for who opened the door (HTTP 401).")) == (
        "warning",
        True,
    )
    assert "smartlock.log" in text
    assert made.link.health(ZERO).scopes_missing == ("smartlock.log",)
    assert made.link.health(ZERO).reachable is True


def test_it_is_tried_again_rarely_and_told_when_it_works() -> None:
    made = desk()
    made.failing[ActivityRequest] = REFUSED
    made.answer_s = 0.0
    for at in range(0, 10_000, 10):
        made.run(at)
        made.link.ask(LOG, moment(at))
    tries = made.times_of("Activity")
    made.failing.clear()
    made.run(20_000)
    made.link.ask(LOG, moment(20_000))
    made.run(20_010)

    assert gaps(tries) == pytest.approx([60, 900, 3600, 3600], abs=11)
    assert [level for level, _ in made.texts()] == ["warning", "debug", "debug", "debug", "debug", "info"]
    assert made.link.health(ZERO).scopes_missing == ()


def test_an_order_is_always_tried() -> None:
    made = desk().run(5)
    made.failing[DeviceActionRequest] = REFUSED
    for at in (5, 10, 15):
        made.run(at)
        made.link.ask(unlock(), moment(at))
    made.run(20)

    assert made.times_of("DeviceAction") == [5, 10, 15]
    assert [level for level, _ in made.texts()] == ["warning", "debug", "debug"]


def test_a_403_that_names_a_device_is_about_that_device() -> None:
    made = desk()
    made.failing[ActivityRequest] = WebError(WebErrorKind.FORBIDDEN, "HTTP 403")
    made.link.ask(LOG, moment(0))
    made.run(10)
    made.failing.clear()
    again, other = made.link.ask(LOG, moment(10)), made.link.ask(ActivityRequest(7), moment(10))
    made.run(20)
    health = made.link.health(ZERO)

    assert [one.kind for one in made.ends_of(again) if isinstance(one, WebError)] == [WebErrorKind.FORBIDDEN]
    assert made.ends_of(other) == [ActivityAnswer(())]
    assert (health.scopes_missing, health.refused_devices) == ((), (LOCK,))
    assert str(LOCK) in made.texts()[0][1]


def test_a_refused_poll_is_no_outage_and_the_rest_goes_on() -> None:
    made = desk()
    made.failing[DeviceListRequest] = REFUSED
    made.run(2)
    asked = made.link.ask(LOG, moment(2))
    made.link.bring_list_forward(moment(2))
    made.run(1000)

    assert made.times_of("DeviceList") == [0, 60.2, 960.4]
    assert made.ends_of(asked) == [ActivityAnswer(())]
    assert made.link.problem is not None


def test_a_new_token_is_tried_at_once_and_an_old_answer_says_nothing_of_it() -> None:
    made = desk()
    made.failing[DeviceListRequest] = REFUSED
    made.run(70)
    made.link.replace_token(Secret("second-token"), moment(70))
    made.failing.clear()
    made.run(71)
    assert made.times_of("DeviceList")[-1] == 70
    assert made.link.health(ZERO).scopes_missing == ()

    made.run(130)  # the next poll is under way with the second token
    made.tick()
    assert made.under_way is not None
    assert made.under_way.token == Secret("second-token")
    made.link.replace_token(Secret("third-token"), moment(130))
    made.answer(REFUSED)
    made.tick()
    assert made.link.health(ZERO).scopes_missing == ()


def test_no_token_stands_in_a_text() -> None:
    made = desk()
    made.answer(WebError(WebErrorKind.SERVER_ERROR, "HTTP 500: first-token"))

    assert "first-token" not in f"{made.logs} {made.ended} {made.ended[0].answer} {made.link.problem}"


# --- the end ---


def test_after_a_stop_nothing_is_asked_and_nothing_is_heard() -> None:
    made = desk()
    made.link.ask(LOG, moment(0))
    effects = made.link.stop()
    answered = made.link.handle_answer(WebAnswered(1, NO_DEVICES), moment(1))

    assert ([type(effect).__name__ for effect in effects], answered) == (["DropWeb"], [])
    assert (made.link.next_deadline(), made.link.take_ended()) == (None, [])


def test_health_in_full() -> None:
    made = desk().run(70)
    made.link.ask(SyncRequest(LOCK_ID), moment(70))
    made.run(72)
    health = made.link.health(ZERO + 90)

    assert (health.requests, health.failures, health.forced_syncs, health.queue) == (3, 0, 1, 0)
    assert (health.poll_age_s, health.poll_s, health.has_webhooks, health.throttled) == (30, 60, False, 0)
    assert (health.reachable, health.problem, health.refused_devices) == (True, None, ())
