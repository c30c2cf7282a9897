"""Who and why: each change with its person or with none, each entry once, nothing from before our start."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.gateway.attribution import Attribution
from nuki2mqtt.gateway.findings import Finding, LastDeed
from nuki2mqtt.gateway.vocabulary import Moment
from nuki2mqtt.model.activity import Activity, ActivityAction, Trigger
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.event import EventType
from nuki2mqtt.model.keypad import Authorization
from nuki2mqtt.protocol.web_api import ActivityAnswer
from tests.gateway.builders import LOCK, OPENER, ZERO, moment, wall

UNLOCK, LOCK_IT, UNLATCH, STRIKE, CM, RING, OPENED, CLOSED = 1, 2, 3, 3, 6, 224, 240, 241
WRONG_CODE = 224


def is_believed(now: Moment) -> bool:
    return now.is_synchronised is not False


def row(
    number: int,
    at: float,
    action: int = UNLOCK,
    who: str = "Ada",
    *,
    trigger: int = 255,
    completion: int = 0,
    source: int = 1,
    nuki_id: NukiId = LOCK,
    auth_id: str | None = None,
) -> Activity:
    return Activity(
        id=f"row{number}",
        nuki_id=nuki_id,
        device_type=2 if nuki_id == OPENER else 4,
        at=wall(at),
        action_code=action,
        trigger_code=trigger,
        completion_code=completion,
        source_code=source,
        name=who,
        auth_id=auth_id,
    )


def door(number: int, at: float, action: int) -> Activity:
    return row(number, at, action, "", trigger=0, source=0)


def authorization(key: str, name: str) -> Authorization:
    return Authorization(id=key, type=13, name=name)


@dataclass
class Case:
    """A lock, its log as the test has it, and what was told."""

    attribution: Attribution = field(default_factory=lambda: Attribution(moment(0), is_believed))
    log: list[Activity] = field(default_factory=list)
    names: Mapping[str, Authorization] = field(default_factory=dict)
    told: list[tuple[float, Finding]] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)
    shows_after_s: float = 0.0

    def changed(self, at: float, was: int, now: int, earliest: float | None = None) -> "Case":
        begins = None if earliest is None else wall(earliest)
        self.attribution.changed(LOCK, 4, was, now, moment(at), latest=wall(at), earliest=begins)
        return self

    def answer(self, at: float) -> ActivityAnswer:
        shown = [one for one in self.log if one.at is not None and one.at + self.lag <= wall(at)]
        return ActivityAnswer(tuple(reversed(shown)))

    @property
    def lag(self) -> timedelta:
        return timedelta(seconds=self.shows_after_s)

    def run(self, until: float, *, error: WebError | None = None) -> "Case":
        while True:
            deadline = self.attribution.next_deadline()
            if deadline is None or deadline - ZERO > until:
                return self
            at = deadline - ZERO
            now = moment(at)
            self.attribution.handle_timer(now)
            self.told += [(at, one) for one in self.attribution.take_named(self.names, now)]
            for wish in self.attribution.take_wishes(now):
                self.reads.append(at)
                answer = self.answer(at) if error is None else error
                found = self.attribution.read_ended(wish.nuki_id, answer, self.names, now)
                self.told += [(at, one) for one in found]

    def brief(self) -> list[tuple[float, str, str | None]]:
        return [(at, f"{one.event_type}", one.activity.id) for at, one in self.told]

    @property
    def last(self) -> LastDeed:
        return self.attribution.last(LOCK)


# --- who it was ---


def test_a_change_is_attributed_as_soon_as_the_log_has_it() -> None:
    case = Case(log=[row(1, 98)]).changed(100, 1, 3).run(500)

    assert case.brief() == [(105, "attributed", "row1")]
    assert case.told[0][1].changed == wall(100)
    assert case.reads == [105, 190]  # the last read is made: a door may have opened since
    assert case.last == LastDeed(ActivityAction.UNLOCK, Trigger.KEYPAD, row(1, 98))
    assert case.last.actor({}) == "Ada"
    assert (case.attribution.attributed, case.attribution.unsolved) == (1, 0)


@pytest.mark.parametrize(("lag_s", "told_at"), [(1, 105), (12, 115), (27, 130), (60, 160), (75, 190)])
def test_a_log_that_lags_is_waited_for(lag_s: float, told_at: float) -> None:
    case = Case(log=[row(1, 98)], shows_after_s=lag_s).changed(100, 1, 3).run(500)

    assert case.brief() == [(told_at, "attributed", "row1")]


def test_a_log_that_lags_too_long_leaves_the_change_without_a_person() -> None:
    case = Case(log=[row(1, 98)], shows_after_s=100).changed(100, 1, 3).run(500)

    assert (case.brief(), case.attribution.unsolved, case.reads) == ([], 1, [105, 115, 130, 160, 190])
    assert case.last == LastDeed(None, None, None)


def test_nobody_is_shown_between_a_change_and_the_log() -> None:
    case = Case(log=[row(1, 98)]).changed(100, 1, 3).run(110)
    assert case.last.actor({}) == "Ada"
    case.changed(200, 3, 1)

    assert case.last == LastDeed(ActivityAction.LOCK)  # that it was locked is certain, by whom is not


def test_one_motion_is_one_change() -> None:
    case = Case(log=[row(1, 98, UNLATCH)])
    case.changed(99, 1, 2).changed(100, 2, 7).changed(101, 7, 5).changed(104, 5, 3).run(500)

    assert case.brief() == [(104, "attributed", "row1")]
    assert case.last.actor({}) == "Ada"


def test_the_end_of_a_motion_that_is_attributed_already_is_no_new_change() -> None:
    case = Case(log=[row(1, 98)]).changed(99, 1, 2).run(104.5)
    case.changed(106, 2, 3).run(500)

    assert case.brief() == [(104, "attributed", "row1")]
    assert (case.last.actor({}), case.attribution.unsolved) == ("Ada", 0)


def test_what_a_lock_does_by_itself_is_nobodys_deed() -> None:
    case = Case(log=[row(1, 98)]).changed(100, 5, 3).run(500)

    assert (case.brief(), case.reads, case.attribution.unsolved) == ([], [], 0)


def test_many_changes_share_their_reads() -> None:
    case = Case(log=[row(1, 98), row(2, 119, LOCK_IT, "Bob"), row(3, 138, UNLOCK, "Cy")], shows_after_s=20)
    case.changed(100, 1, 3).run(119).changed(120, 3, 1).run(139).changed(140, 1, 3).run(500)

    assert case.brief() == [(125, "attributed", "row1"), (145, "attributed", "row2"), (160, "attributed", "row3")]
    assert len(case.reads) == 12  # instead of 15
    assert case.last.actor({}) == "Cy"


def test_two_people_at_once_are_nobody() -> None:
    case = Case(log=[row(1, 95), row(2, 98, who="Bob")]).changed(100, 1, 3).run(500)

    assert (case.brief(), case.attribution.unsolved, case.last) == ([], 1, LastDeed())


def test_a_late_entry_does_not_go_to_the_next_change() -> None:
    """The first change was given up; its entry comes when only the second one, 30 s later, is still sought."""
    case = Case().changed(100, 1, 3)
    case.changed(130, 1, 3).run(200)
    case.log = [row(1, 99)]
    case.run(500)

    assert (case.brief(), case.attribution.unsolved) == ([], 2)


def test_a_change_that_lies_between_two_polls_is_decided_at_the_last_read() -> None:
    case = Case(log=[row(1, 70)]).changed(100, 1, 3, earliest=40).run(500)

    assert case.brief() == [(190, "attributed", "row1")]


def test_a_blocked_motor_has_its_person_too() -> None:
    case = Case(log=[row(1, 95, LOCK_IT, completion=1)]).changed(100, 4, 254).run(500)

    assert case.brief() == [(105, "attributed", "row1")]


def test_an_opener_and_its_modes() -> None:
    case = Case()
    case.attribution.changed(OPENER, 2, 1, 5, moment(100), latest=wall(100))
    case.attribution.mode_changed(OPENER, 3, moment(130), latest=wall(130))
    case.log = [
        row(1, 99, STRIKE, nuki_id=OPENER),
        row(2, 110, RING, "", nuki_id=OPENER),
        row(3, 129, CM, "Bob", nuki_id=OPENER),
    ]
    case.run(500)

    assert [one[2] for one in case.brief()] == ["row1", "row3"]
    assert case.attribution.last(OPENER).action is ActivityAction.ACTIVATE_CM


def test_an_entry_of_another_device_is_nobodys() -> None:
    case = Case(log=[replace(row(1, 98), nuki_id=OPENER)]).changed(100, 1, 3).run(500)

    assert case.brief() == []


def test_who_did_the_former_change_is_not_shown_as_who_did_the_last_one() -> None:
    case = Case(log=[row(1, 98)], shows_after_s=27).changed(100, 1, 3).run(119).changed(120, 3, 1).run(140)

    assert case.brief() == [(125, "attributed", "row1")]
    assert case.last == LastDeed(ActivityAction.LOCK)


def test_who_moved_it_later_unseen_is_not_overlooked() -> None:
    """The Bridge missed an unlatching that ended where it began; the next read of the log shows who else was there."""
    case = (
        Case(log=[row(1, 98, who="Ada"), row(2, 160, UNLATCH, who="Bob")], shows_after_s=60).changed(100, 1, 3).run(170)
    )
    assert case.last.actor({}) == "Ada"
    assert case.brief() == [(160, "attributed", "row1")]

    case.attribution.stirred(LOCK, moment(300))
    case.run(500)
    assert case.last == LastDeed()
    assert case.brief() == [(160, "attributed", "row1")]


def test_an_order_of_ours_that_changes_nothing_makes_the_last_one_unknown() -> None:
    """An unlocked door is unlatched by us: it is unlocked again at once, and nobody saw anything else."""
    case = Case(log=[row(1, 98, who="Ada"), row(2, 160, UNLATCH, who="Nuki Bridge", trigger=0)]).changed(100, 1, 3)
    assert case.run(150).last.actor({}) == "Ada"
    case.attribution.acted(LOCK, moment(160))
    assert case.last == LastDeed()
    assert case.run(500).last == LastDeed()
    assert {180, 240} <= set(case.reads)


def test_the_same_person_again_is_still_the_last_one() -> None:
    case = Case(log=[row(1, 98), row(2, 160), row(3, 170, who="Bob", completion=2)]).changed(100, 1, 3).run(500)
    case.attribution.stirred(LOCK, moment(600))
    assert case.run(900).last.actor({}) == "Ada"


def test_a_change_that_nobody_did_for_long_claims_no_more() -> None:
    case = Case().changed(100, 1, 3).run(300)
    case.attribution.changed(LOCK, 4, 1, 3, moment(450), latest=wall(130))  # told very late, of that time
    case.log = [row(1, 112)]
    case.run(600)

    assert case.brief() == [(540, "attributed", "row1")]


# --- webhooks, failures ---


def test_a_webhook_tells_at_once_whichever_comes_first() -> None:
    case = Case().changed(100, 1, 3)
    assert [one.activity.id for one in case.attribution.heard(row(1, 98), {}, moment(101))] == ["row1"]
    assert case.attribution.heard(row(1, 98), {}, moment(102)) == []
    assert case.attribution.heard(row(2, 119, LOCK_IT), {}, moment(119)) == []
    case.changed(120, 3, 1).run(126)

    assert case.brief() == [(125, "attributed", "row2")]


@pytest.mark.parametrize("kind", [WebErrorKind.TOKEN_REFUSED, WebErrorKind.FORBIDDEN, WebErrorKind.NOT_FOUND])
def test_a_refused_log_ends_the_search_at_once(kind: WebErrorKind) -> None:
    case = Case().changed(100, 1, 3).run(500, error=WebError(kind))

    assert (case.reads, case.attribution.unsolved) == ([105], 1)


def test_a_failing_log_is_tried_at_each_of_its_times() -> None:
    case = Case(log=[row(1, 98)]).changed(100, 1, 3).run(140, error=WebError(WebErrorKind.SERVER_ERROR))
    case.run(500)

    assert case.brief() == [(160, "attributed", "row1")]


def test_a_read_that_never_ends_does_not_keep_a_change_for_ever() -> None:
    case = Case().changed(100, 1, 3)
    case.attribution.take_wishes(moment(105))
    case.run(500)

    assert (case.attribution.unsolved, case.attribution.next_deadline()) == (1, None)


def test_a_full_page_that_does_not_reach_back_decides_nothing() -> None:
    full = [row(1, 98), *[door(number, 99 + number / 100, OPENED) for number in range(2, 51)]]
    case = Case(log=full).changed(100, 1, 3).run(500)
    assert [one for one in case.brief() if one[1] == "attributed"] == []
    reaching = Case(log=[row(0, 20), *full[:-1]]).changed(100, 1, 3).run(500)
    assert [one for one in reaching.brief() if one[1] == "attributed"] == [(105, "attributed", "row1")]


def test_the_wish_reaches_back_beyond_a_badly_set_clock() -> None:
    case = Case().changed(100, 1, 3, earliest=40)
    [wish] = case.attribution.take_wishes(moment(105))

    assert (wish.since, wish.not_after) == (wall(40 - 45 - 600), ZERO + 165)


# --- what else the log knows ---


def test_a_refused_code_is_told_once() -> None:
    case = Case(log=[row(1, 50, who="", completion=WRONG_CODE), row(2, 98)]).changed(100, 1, 3).run(500)

    assert case.brief() == [(105, "attributed", "row2"), (105, "code_refused", "row1")]


def test_what_stirs_is_read_without_a_change() -> None:
    case = Case(log=[row(1, 8, who="", completion=WRONG_CODE)], shows_after_s=60)
    case.attribution.stirred(LOCK, moment(10))

    assert (case.run(500).brief(), case.reads) == ([(90, "code_refused", "row1")], [30, 90])


def test_nothing_from_before_our_start_is_told() -> None:
    old = [row(1, -1, who="", completion=WRONG_CODE), door(2, -30, OPENED), row(3, -40, LOCK_IT, "Bob")]
    case = Case(log=old)
    case.attribution.stirred(LOCK, moment(10))
    case.run(500)

    assert case.brief() == []
    assert case.last == LastDeed(ActivityAction.LOCK, Trigger.KEYPAD, old[2])  # but what it did last it did


def test_what_another_gateway_may_have_told_is_not_told_again() -> None:
    """It owned the base topic until now."""
    case = Case(log=[row(1, 90, completion=WRONG_CODE), row(2, 110, completion=WRONG_CODE)])
    case.attribution.begin(moment(100))
    case.attribution.stirred(LOCK, moment(120))

    assert case.run(500).brief() == [(case.reads[0], "code_refused", "row2")]


def test_a_change_from_before_our_start_is_not_explained_again() -> None:
    """A Bridge that lags says after our start what the process before us has seen."""
    case = Case(log=[row(1, -32)])
    case.attribution.changed(LOCK, 4, 1, 3, moment(20), latest=wall(-30))

    assert case.run(500).brief() == []
    assert case.last == LastDeed()


def test_a_clock_that_nobody_believes_tells_nothing_from_the_log_until_it_is_set() -> None:
    """A computer without a battery begins in the past: a code that was refused days ago would be news."""
    log = [row(number, at, completion=WRONG_CODE) for number, at in enumerate((-500_000, 60, 20_000))]
    attribution = Attribution(moment(-600_000), is_believed)
    # It was 600,000 s behind, and 100 s later it was set.
    behind = Moment(moment(-600_000).monotonic + 50, wall(-600_000 + 50), is_synchronised=False)
    assert attribution.read_ended(LOCK, ActivityAnswer(tuple(log[:1])), {}, behind) == []
    right = Moment(moment(-600_000).monotonic + 100, wall(90))
    found = attribution.read_ended(LOCK, ActivityAnswer(tuple(log)), {}, right)

    assert [one.activity.id for one in found] == ["row1"]


def test_an_entry_without_an_id_or_a_date_is_not_told() -> None:
    nameless = [replace(row(1, 98), id=None), replace(row(2, 98), at=None)]
    case = Case(log=[one for one in nameless if one.at is not None]).changed(100, 1, 3).run(500)

    assert case.brief() == []
    assert case.attribution.heard(nameless[1], {}, moment(500)) == []


def test_doors_of_which_no_other_source_ever_speaks() -> None:
    case = Case(log=[row(1, 98), door(2, 103, OPENED), door(3, 150, CLOSED)], shows_after_s=3)
    case.changed(100, 1, 3).run(500)

    told = [(at, str(one.event_type), one.is_old) for at, one in case.told]
    assert told == [(105, "attributed", False), (190, "door_opened", True), (190, "door_closed", False)]


def test_a_door_that_the_bridge_told_is_not_told_again() -> None:
    case = Case(log=[row(1, 98), door(2, 103, OPENED), door(3, 108, CLOSED)])
    case.attribution.told_door(LOCK, EventType.DOOR_OPENED, wall(104))
    case.changed(100, 1, 3).run(120)
    case.attribution.told_door(LOCK, EventType.DOOR_CLOSED, wall(170))  # its /list is behind
    case.run(500)

    assert case.brief() == [(105, "attributed", "row1")]


def test_a_door_that_the_bridge_missed_is_told_when_it_can_tell_it_no_more() -> None:
    case = Case(log=[row(1, 98), door(2, 103, OPENED), door(3, 108, CLOSED)])
    case.attribution.saw_door(LOCK, wall(100))
    case.changed(100, 1, 3).run(120)
    assert [one[1] for one in case.brief()] == ["attributed"]
    case.attribution.saw_door(LOCK, wall(150))
    case.run(500)

    assert case.brief()[1:] == [(190, "door_opened", "row2"), (190, "door_closed", "row3")]


# --- names ---


def test_a_name_that_the_entry_lacks_is_waited_for() -> None:
    case = Case(log=[row(1, 98, who="", auth_id="ada")]).changed(100, 1, 3).run(105)
    assert (case.brief(), set(case.attribution.wants_names)) == ([], {LOCK})
    case.names = {"ada": authorization("ada", "Ada")}
    [found] = case.attribution.take_named(case.names, moment(108))

    assert (found.activity.id, case.last.actor(case.names)) == ("row1", "Ada")
    assert case.attribution.wants_names == frozenset()


def test_without_the_list_it_is_told_without_a_name() -> None:
    case = Case(log=[row(1, 98, who="", auth_id="ada")]).changed(100, 1, 3).run(500)

    assert case.brief() == [(125, "attributed", "row1")]


def test_who_has_no_authorization_has_no_name_to_wait_for() -> None:
    case = Case(log=[row(1, 98, who="", trigger=1, source=0)]).changed(100, 1, 3).run(500)

    assert case.brief() == [(105, "attributed", "row1")]


# --- the snapshot without a log ---


def test_the_state_of_the_cloud_tells_the_last_action_where_no_log_does() -> None:
    case = Case()
    case.attribution.told_by_state(LOCK, ActivityAction.UNLOCK, Trigger.BUTTON)
    assert case.last == LastDeed(ActivityAction.UNLOCK, Trigger.BUTTON)
    case.changed(100, 3, 1)
    case.attribution.told_by_state(LOCK, ActivityAction.UNLOCK, Trigger.BUTTON)  # not what was seen
    assert case.last == LastDeed(ActivityAction.LOCK)
    case.attribution.told_by_state(LOCK, ActivityAction.LOCK, Trigger.AUTO_LOCK)
    assert case.last == LastDeed(ActivityAction.LOCK, Trigger.AUTO_LOCK)
    case.log = [row(1, 98, LOCK_IT)]
    case.run(200)
    case.attribution.told_by_state(LOCK, ActivityAction.LOCK, Trigger.SYSTEM)
    assert case.last.actor({}) == "Ada"


def test_what_is_forgotten_or_cleared_is_not_sought() -> None:
    gone, cleared = Case().changed(100, 1, 3), Case(log=[row(1, 98)]).changed(100, 1, 3).run(106)
    gone.attribution.forget(LOCK)
    cleared.attribution.clear()
    cleared.changed(107, 1, 3).run(500)

    assert (gone.attribution.next_deadline(), gone.last) == (None, LastDeed())
    assert cleared.brief() == [(105, "attributed", "row1")]  # what was told stays told
