"""What people complain about in Nuki's cloud, told end to end: orders and answers by MQTT, a real gateway in between.

The themes are those of section 7 of the Web API's reference; each test names one.
"""

from nuki2mqtt.simulator.keypad import Schedule
from nuki2mqtt.simulator.visitors import act_by_app, enter_code, tap_unknown_tag
from nuki2mqtt.simulator.web_faults import Write
from tests.stories.cloud_world import LOCK, USUAL, WEB_TOKEN, CloudHome

HOUR_S, DAY_S = 3600.0, 86_400.0
WINDOW = {"weekdays": ["mon", "tue"], "daily": {"from": "08:00", "until": "12:00"}}


def home_of_anna() -> CloudHome:
    """A home in which Anna's code is in use."""
    home = CloudHome()
    home.start()
    home.order_code("create", "anna", name="Anna", code="839275")
    home.world.run(30)
    assert home.keypad_end("anna") == ("active", None)
    assert home.on_lock() == {"Anna": 839275}
    return home


def wall(home: CloudHome, ago_s: float = 0.0) -> str:
    return home.world.ts(ago_s).partition("+")[0].partition(".")[0] + "Z"


# --- Codes ------------------------------------------------------------------------------------------------------------


def test_a_delete_that_the_cloud_forgets_is_never_called_deleted_while_the_code_opens() -> None:
    home = home_of_anna()
    with home.cloud.faults.lost_writes(kind=Write.DELETE):
        home.order_code("delete", "gone", name="Anna")
        home.world.run(4 * HOUR_S)
        assert home.keypad_life("gone") == [("delete_pending", None), ("delete_pending", "not_confirmed")]
        assert home.codes() == {"Anna": ("delete_pending", "not_confirmed")}
        assert home.on_lock() == {"Anna": 839275}

    home.world.run(2 * DAY_S)

    assert home.keypad_end("gone") == ("deleted", None)
    assert home.codes() == {}
    assert home.on_lock() == {}


def test_a_delete_of_a_ghost_ends_and_its_code_can_be_given_again() -> None:
    home = CloudHome()
    home.start()
    with home.cloud.faults.ghost_creates():
        home.order_code("create", "ghost", name="Anna", code="839275")
        home.world.run(60)
    assert home.on_lock() == {}

    home.order_code("delete", "gone", name="Anna")
    home.world.run(4 * HOUR_S)
    home.order_code("create", "again", name="Anna", code="839275")
    home.world.run(60)

    assert home.keypad_end("gone") == ("deleted", None)
    assert home.keypad_end("again") == ("active", None)
    assert home.on_lock() == {"Anna": 839275}


def test_a_ghost_that_nobody_touches_opens_at_last() -> None:
    home = CloudHome()
    home.start()
    with home.cloud.faults.ghost_creates():
        home.order_code("create", name="Anna", code="839275")
        home.world.run(60)

    home.world.run(2 * DAY_S)

    assert home.keypad_end() == ("active", None)
    assert home.codes() == {"Anna": ("active", None)}
    assert home.on_lock() == {"Anna": 839275}


def test_a_full_lock_is_an_end_that_somebody_hears_of() -> None:
    home = CloudHome(capacity=1)
    home.start()
    home.order_code("create", name="Anna", code="839275")
    home.world.run(3 * HOUR_S)

    assert home.keypad_end() == ("failed", "not_confirmed")
    assert home.codes() == {"Anna": ("failed", "not_confirmed")}
    assert home.on_lock() == {}


def test_a_code_that_is_taken_is_refused_and_whose_it_is_stays_as_he_was() -> None:
    home = CloudHome()
    home.known.auths.add_by_app(name="Owner", code=839275)
    home.known.sync(is_forced=False)
    home.start()
    home.order_code("create", name="Anna", code="839275")
    home.world.run(120)

    assert home.keypad_end() == ("refused", "code_taken")
    assert home.codes() == {"Owner": ("foreign", None)}
    assert home.on_lock() == {"Owner": 839275}
    assert home.asked("PUT", "/auth") == []


def test_a_code_that_the_cloud_has_promised_and_never_made_is_not_called_active() -> None:
    home = CloudHome()
    home.start()
    with home.cloud.faults.lost_writes(kind=Write.CREATE):
        home.order_code("create", name="Anna", code="839275")
        home.world.run(3 * HOUR_S)

    assert home.keypad_end() == ("failed", "not_confirmed")
    assert home.on_lock() == {}
    assert len(home.asked("PUT", "/auth")) == 3
    assert len(home.asked("POST", "/sync")) == 1
    assert [text for text in home.process.warnings if "Anna" in text] == [
        'The keypad code "Anna" of the device 1A2B3C4D is failed: not_confirmed.'
    ]


def test_a_promise_that_is_broken_once_is_kept_by_trying_again() -> None:
    home = CloudHome()
    home.start()
    with home.cloud.faults.lost_writes(kind=Write.CREATE):
        home.order_code("create", name="Anna", code="839275")
        home.world.run(10)
    home.world.run(HOUR_S)

    assert home.keypad_life() == [("create_pending", None), ("create_pending", "not_confirmed"), ("active", None)]
    assert home.on_lock() == {"Anna": 839275}


def test_a_change_of_the_name_leaves_the_schedule_as_it_was() -> None:
    home = CloudHome()
    home.start()
    home.order_code("create", "c", name="Anna", code="839275", schedule=WINDOW)
    home.world.run(60)
    before = home.known.memory.codes[839275].schedule
    home.order_code("update", "u", name="Anna", new_name="Ann")
    home.world.run(60)

    assert home.keypad_end("u") == ("active", None)
    assert home.known.memory.codes[839275].name == "Ann"
    assert home.known.memory.codes[839275].schedule == before
    assert before == Schedule(1_577_836_800.0, None, 64 + 32, 480, 720)
    listed = home.world.retained("nuki2mqtt/front_door/keypad")
    assert [one["schedule"] for one in listed] == [{"from": None, "until": None, **WINDOW}]


def test_a_window_means_the_clock_of_the_lock_and_is_never_ignored() -> None:
    """Berlin in winter: 08:00 there is 07:00 UTC. The world begins on a Sunday at noon UTC."""
    home = CloudHome()
    home.start()
    home.order_code("create", name="Anna", code="839275", schedule=WINDOW)
    home.world.run(60)

    def opens_after(seconds: float) -> bool:
        home.lock.turn(1)
        home.world.run(seconds)
        enter_code(home.known, 839275)
        home.world.run(10)
        return home.lock.state == 3

    assert not opens_after(60)  # Sunday
    assert not opens_after(18.8 * HOUR_S)  # Monday, 07:50 in Berlin
    assert opens_after(0.3 * HOUR_S)  # 08:10
    assert not opens_after(4 * HOUR_S)  # 12:10


def test_an_order_for_a_lock_that_is_offline_waits_says_so_and_is_done_on_its_return() -> None:
    home = CloudHome()
    home.start()
    with home.cloud.faults.offline(LOCK):
        home.world.run(120)
        assert home.availability == "offline"
        home.order_code("create", name="Anna", code="839275")
        home.world.run(HOUR_S)
        assert home.keypad_life() == [("create_pending", "device_offline")]
        assert home.asked("PUT", "/auth") == []

    home.world.run(600)

    assert home.keypad_end() == ("active", None)
    assert home.on_lock() == {"Anna": 839275}
    assert home.availability == "online"


def test_what_was_sent_before_the_lock_went_offline_is_done_once() -> None:
    home = CloudHome()
    home.start()
    home.order_code("create", name="Anna", code="839275")
    home.world.run(0.5)
    with home.cloud.faults.offline(LOCK):
        home.world.run(HOUR_S)
        assert home.on_lock() == {}
        assert home.codes() == {"Anna": ("create_pending", "device_offline")}

    home.world.run(HOUR_S)

    assert home.keypad_end() == ("active", None)
    assert home.on_lock() == {"Anna": 839275}


def test_a_code_that_somebody_takes_away_in_the_app_is_not_given_back() -> None:
    home = home_of_anna()
    enter_code(home.known, 839275)
    home.world.run(200)
    number = next(one.number for one in home.known.memory.codes.values())
    home.known.memory.remove(number)
    home.known.sync(is_forced=False)
    home.world.run(DAY_S)

    assert home.codes() == {"Anna": ("needs_review", "gone")}
    assert home.on_lock() == {}


# --- Who --------------------------------------------------------------------------------------------------------------


def test_who_opened_the_door_is_told_with_name_and_means() -> None:
    home = home_of_anna()
    since = home.world.now
    enter_code(home.known, 839275)
    home.world.run(200)

    changed, attributed = home.events(since=since)
    assert (changed["event_type"], changed["from"], changed["to"]) == ("state_changed", "locked", "unlocked")
    assert attributed == {
        "event_type": "attributed",
        "at": attributed["at"],
        "source": "web",
        "actor": "Anna",
        "action": "unlock",
        "trigger": "keypad",
        "via": "code",
        "completion": "success",
        "at_of": wall(home, 200),
    }
    assert {key: home.snapshot[key] for key in ("last_action", "trigger", "actor")} == {
        "last_action": "unlock",
        "trigger": "keypad",
        "actor": "Anna",
    }


def test_who_opened_is_told_of_a_lock_at_a_bridge_too_which_itself_never_says_it() -> None:
    home = CloudHome(has_bridge=True, device_type=4)
    guest = home.known.auths.add_by_app(name="Ben")
    assert guest is not None
    home.start()
    home.world.run(60)
    since = home.world.now
    act_by_app(home.known, guest.number, 3)
    home.world.run(200)

    assert {one["source"] for one in home.events("state_changed", since=since)} == {"callback"}
    assert [(one["actor"], one["action"], one["trigger"]) for one in home.events("attributed", since=since)] == [
        ("Ben", "unlatch", "app")
    ]
    assert home.snapshot["actor"] == "Ben"


def test_a_log_that_lags_more_than_usual_names_nobody_too_early_and_the_right_one_at_last() -> None:
    home = home_of_anna()
    since = home.world.now
    with home.cloud.faults.slow_log(25.0):
        enter_code(home.known, 839275)
        home.world.run(70)
        assert home.events("attributed", since=since) == []
        assert home.snapshot["actor"] is None
    home.world.run(200)

    assert [one["actor"] for one in home.events("attributed", since=since)] == ["Anna"]
    assert home.snapshot["actor"] == "Anna"


def test_an_entry_that_the_log_loses_leaves_the_change_without_a_name() -> None:
    home = home_of_anna()
    since = home.world.now
    with home.cloud.faults.lost_log():
        enter_code(home.known, 839275)
        home.world.run(600)

    assert [one["to"] for one in home.events("state_changed", since=since)] == ["unlocked"]
    assert home.events("attributed", since=since) == []
    assert home.snapshot["actor"] is None
    assert len(home.asked("GET", "/log", since)) < 15


def test_a_refused_code_is_told_and_the_code_is_not() -> None:
    home = CloudHome()
    home.start()
    enter_code(home.known, 777777)
    tap_unknown_tag(home.known)
    home.world.run(20)
    home.lock.turn(3)  # what happens at the keypad alone is told by the log when it is read next
    home.world.run(300)

    assert sorted((one["via"], one["completion"]) for one in home.events("code_refused")) == [
        ("code", "invalid_code"),
        ("tap", "invalid_nfc_tag"),
    ]
    assert b"777777" not in b"".join(one.payload for one in home.world.broker.log)


def test_the_last_action_is_null_where_the_cloud_gives_a_number_that_says_nothing() -> None:
    home = CloudHome()
    home.start()

    assert home.known.last_action == 0
    assert home.snapshot["last_action"] is None
    assert home.snapshot["actor"] is None


# --- The service ------------------------------------------------------------------------------------------------------


def test_an_hour_of_html_makes_the_lock_stale_once_says_it_once_and_heals() -> None:
    home = CloudHome()
    home.start()
    since = home.world.now
    with home.cloud.faults.proxy_error(status=502):
        home.world.run(HOUR_S)
        assert home.availability == "offline"
        assert (home.snapshot["stale"], home.snapshot["lock"]) == (True, "LOCKED")
        assert len(home.process.warnings) == 1
        assert "502" in home.health()["cloud"]["problem"]
    home.world.run(600)

    assert home.world.said("nuki2mqtt/front_door/availability", since) == ["offline", "online"]
    assert home.events(since=since) == []
    assert (home.health()["cloud"]["problem"], home.health()["cloud"]["reachable"]) == (None, True)


def test_a_single_bad_gateway_does_not_make_anything_flap() -> None:
    home = CloudHome()
    home.start()
    since = home.world.now
    for _ in range(10):
        with home.cloud.faults.proxy_error(status=500):
            home.world.run(55)
        home.world.run(65)

    assert home.world.said("nuki2mqtt/front_door/availability", since) == []


def test_a_missing_scope_is_named_and_concerns_nothing_else() -> None:
    home = CloudHome(scopes=USUAL - {"smartlock.auth"})
    home.start()
    home.world.run(120)
    assert home.health()["cloud"]["scopes_missing"] == ["smartlock.auth"]
    assert home.availability == "online"
    home.order_code("create", name="Anna", code="839275")
    home.world.run(HOUR_S)
    assert home.keypad_life()[-1] == ("create_pending", "token_refused")
    assert len(home.process.warnings) == 1

    home.cloud.tokens[WEB_TOKEN] = USUAL
    home.world.run(HOUR_S)

    assert home.keypad_end() == ("active", None)
    assert home.health()["cloud"]["scopes_missing"] == []


def test_a_token_that_died_with_the_password_is_said_once_and_not_hammered() -> None:
    home = CloudHome()
    home.start()
    since = home.world.now
    with home.cloud.faults.refuse_token():
        home.world.run(HOUR_S)
        assert "401" in home.health()["cloud"]["problem"]
        assert home.availability == "offline"
        assert len(home.asked("GET", "/smartlock", since)) < 15
        assert len([text for text in home.process.warnings if "401" in text]) <= 3
    home.world.run(HOUR_S)

    assert home.availability == "online"
    assert home.health()["cloud"]["problem"] is None
