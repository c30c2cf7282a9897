"""Which Bridge carries a command out, and why an order has not gone out yet."""

from dataclasses import dataclass, field, replace

import pytest

from nuki2mqtt.gateway.command_routes import CommandRoutes
from nuki2mqtt.gateway.vocabulary import BridgePaired, CallBridge
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_api import Answer, InfoAnswer, ListAnswer, ListRequest, LockActionRequest, ScanHit
from tests.gateway.builders import LINK, LOCK, LOCKED, OPENER, OTHER_LINK, ZERO, entry, moment
from tests.gateway.scene import TWO, Scene, followed
from tests.gateway.site import failure

AT = moment(5)
BOTH_LINKS = frozenset({LINK, OTHER_LINK})


def routes(scene: Scene) -> CommandRoutes:
    return CommandRoutes(scene.following, waits=False)


@dataclass
class TwoBridges(Scene):
    """Each Bridge hears the lock as strongly as it is said, and lists it or not."""

    heard: dict[str, int | None] = field(default_factory=dict)
    listing: frozenset[str] = BOTH_LINKS

    def usual(self, call: CallBridge) -> Answer:
        said = super().usual(call)
        if isinstance(said, InfoAnswer):
            dbm = self.heard[call.link]
            return replace(said, scan=() if dbm is None else (ScanHit(LOCK, 0, "", dbm, paired=True),))
        if isinstance(call.request, ListRequest) and call.link not in self.listing:
            return ListAnswer(())
        return said


def two(here: int | None, there: int | None, listing: frozenset[str] = BOTH_LINKS) -> TwoBridges:
    scene = TwoBridges(Scene.of(TWO).following, heard={LINK: here, OTHER_LINK: there}, listing=listing)
    scene.activate()
    scene.run(5)
    return scene


@pytest.mark.parametrize(
    ("here", "there", "link"),
    [(-60, -80, LINK), (-80, -60, OTHER_LINK), (-90, None, LINK), (None, -90, OTHER_LINK)],
)
def test_the_bridge_with_a_scan_hit_and_the_better_signal_is_chosen(
    here: int | None, there: int | None, link: str
) -> None:
    assert routes(two(here, there)).choose(LOCK, AT) == link


def test_without_a_hit_the_one_that_spoke_last_is_chosen() -> None:
    scene = two(None, None)

    assert routes(scene).choose(LOCK, AT) == scene.following.devices.link_of(LOCK)


def test_a_bridge_that_does_not_list_the_device_is_not_asked() -> None:
    scene = two(-90, -40, frozenset({LINK}))

    assert routes(scene).choose(LOCK, AT) == LINK


def test_a_bridge_in_trouble_is_the_second_choice_however_well_it_hears() -> None:
    scene = two(-40, -90)
    call = scene.until(ListRequest)
    while call.link != LINK:
        scene.answer(call, scene.usual(call))
        call = scene.until(ListRequest)
    scene.answer(call, failure("timeout"))

    assert routes(scene).choose(LOCK, moment(scene.now)) == OTHER_LINK


def test_a_bridge_in_trouble_is_asked_where_there_is_no_other() -> None:
    scene = followed()
    scene.answer(scene.until(ListRequest), failure("timeout"))

    assert routes(scene).choose(LOCK, moment(scene.now)) == LINK


def test_what_no_bridge_has_listed_has_no_route() -> None:
    scene = followed()
    scene.following.devices.remember(OPENER, 2, "Gate")

    assert routes(scene).choose(OPENER, AT) is None


@pytest.mark.parametrize("leave", ["release", "deactivate", "end_contact"])
def test_a_bridge_that_cannot_be_asked_is_no_route(leave: str) -> None:
    scene = followed()
    if leave == "release":
        scene.following.release(AT)
    elif leave == "deactivate":
        scene.following.deactivate()
    else:
        scene.following.links[LINK].end_contact("another Bridge")

    assert routes(scene).choose(LOCK, AT) is None


@pytest.mark.parametrize("waits", [True, False])
def test_an_order_says_type_action_and_whether_to_wait_for_the_motor(*, waits: bool) -> None:
    scene = followed()
    scene.reports = (entry(LOCKED, -5, device_type=4),)
    scene.run(40)
    CommandRoutes(scene.following, waits=waits).order(LINK, LOCK, 3, ZERO + scene.now, ZERO + scene.now + 10)
    call = scene.until(LockActionRequest)

    assert call.request == LockActionRequest(LOCK, 4, 3, nowait=not waits)


# --- what is seen ---


def test_the_state_before_is_what_we_vouch_for() -> None:
    scene = followed()
    before = routes(scene).state_before(LINK, LOCK, AT)
    silent = routes(scene).state_before(LINK, LOCK, moment(500))
    routes(scene).unreachable(LOCK, AT)

    assert (before, silent, routes(scene).state_before(LINK, LOCK, AT)) == (LOCKED, None, None)
    assert routes(scene).state_word(LOCK) == "locked"


# --- reads ---


def test_a_read_for_somebody_who_asks_is_refused_where_it_would_wait_long() -> None:
    scene = followed()
    reads = scene.following.links[LINK].reads
    first = routes(scene).read_in_budget(LINK, LOCK, AT)
    assert reads.take(AT.monotonic) is not None
    reads.answered(LOCK, AT.monotonic, has_reached=True)
    results = [routes(scene).read_in_budget(LINK, LOCK, moment(now)) for now in (6, 54, 56, 100)]

    # 60 s lie between two reads; up to 10 s of them are waited for.
    assert (first, results) == (True, [False, False, True, True])


def test_a_read_that_settles_a_command_waits_for_nothing_and_is_dropped_with_it() -> None:
    scene = followed()
    link = scene.following.links[LINK]
    asked = [routes(scene).read(LINK, LOCK, AT), link.is_wanted(LOCK)]
    routes(scene).drop_read(LINK, LOCK)

    assert (asked, link.is_wanted(LOCK)) == ([True, True], False)


# --- why it waits ---


def test_why_an_order_waits_behind_another_lock_s() -> None:
    scene = followed()
    tell = routes(scene)
    for _ in range(3):
        scene.answer(scene.until(ListRequest), failure("busy"))
    tell.order(LINK, LOCK, 1, 0, ZERO + 1000)
    scene.until(LockActionRequest)

    assert scene.following.links[LINK].ordered_device == LOCK
    assert (tell.why_waiting(LINK, LOCK), tell.why_waiting(LINK, OPENER)) == ("bridge_unreachable", "busy")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("timeout", "bridge_unreachable"), ("token_refused", "token_refused"), ("busy", "bridge_unreachable")],
)
def test_why_an_order_waits_for_a_bridge_in_trouble(kind: str, reason: str) -> None:
    scene = followed()
    for _ in range(9):
        scene.answer(scene.until(ListRequest), failure(kind))

    assert routes(scene).why_waiting(LINK, LOCK) == reason


def test_without_a_route_the_reason_is_a_missing_token_or_the_bridge() -> None:
    unpaired = Scene.of("version: 1\nbridges:\n  - {host: 192.0.2.10}\n")
    paired = followed()
    before = routes(unpaired).why_waiting(None, LOCK)
    unpaired.following.handle_finding(BridgePaired(LINK, Secret("abcdef")), AT)

    assert (before, routes(unpaired).why_waiting(None, LOCK)) == ("token_refused", "bridge_unreachable")
    assert routes(paired).why_waiting(None, LOCK) == "bridge_unreachable"
