"""Commands by the cloud in a whole gateway: what may go there, what proves that they were carried out."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.gateway.cloud_commands import FRESH_S, Sight, turn_of
from nuki2mqtt.gateway.command_life import Turn
from nuki2mqtt.gateway.news import CloudOrderEnded
from nuki2mqtt.gateway.vocabulary import Memory
from nuki2mqtt.gateway.web_jobs import MOST_WAITING
from nuki2mqtt.model.action import Action
from nuki2mqtt.model.cloud_device import smartlock_id_of
from nuki2mqtt.model.command import Reason
from nuki2mqtt.protocol.bridge_api import ListAnswer
from nuki2mqtt.protocol.web_api import AuthorizationListRequest, DeviceActionRequest, DeviceRequest
from nuki2mqtt.protocol.webhooks import DeviceHook, WebhookFeature
from tests.gateway.builders import LINK, LOCKED, entry, state, wall
from tests.gateway.cloud_desk import LOCK_ID
from tests.gateway.scripted_cloud import WIFI, CloudSite, twin, wifi

STUDIO = "studio"
STATUS = WebhookFeature.DEVICE_STATUS


# --- what a Bridge knows does not go there ---


def test_one_list_without_the_lock_sends_nothing_to_the_cloud() -> None:
    site = CloudSite.with_cloud(twin(state(1)), seconds=20)
    site.lists[LINK] = ()
    site.wait(70)
    site.set("unlock")
    site.wait(1)

    assert (site.web_orders, site.sent) == ([], [])
    site.lists[LINK] = (entry(LOCKED, -3600),)
    site.wait(60)
    assert site.web_orders == []


def test_a_lock_that_left_its_bridge_goes_by_the_cloud_in_the_end() -> None:
    site = CloudSite.with_cloud(twin(state(1)), seconds=20)
    site.lists[LINK] = ()
    site.wait(700)
    site.set("unlock")
    site.wait(1)

    assert len(site.web_orders) == 1


def test_an_unreadable_first_list_leaves_it_undecided() -> None:
    site = CloudSite.with_cloud(wifi(1), infos={}, seconds=3)
    following = site.hand.gateway._following
    following.bridged.clear()
    link = following.links[LINK]
    following._listed(link, ListAnswer((), ("an entry without an ID",)), site.hand.moment)
    site.set("unlock", to=STUDIO)

    assert site.web_orders == []


# --- evidence ---


def test_a_late_webhook_confirms_nothing_and_releases_nothing() -> None:
    site = CloudSite.with_cloud(wifi(1))
    site.set({"action": "unlock", "transaction": "a"}, to=STUDIO)
    site.answer_web(DeviceActionRequest)
    site.wait(0.3)
    site.hook(DeviceHook(STATUS, wifi(3)))
    site.wait(5)

    assert site.told(STUDIO) == [("accepted", None)]
    assert site.shows("state", "stale", to=STUDIO) == ("locked", False)
    site.set({"action": "unlock", "transaction": "b"}, to=STUDIO)
    site.wait(1)
    assert (len(site.web_orders), site.told(STUDIO)[-1]) == (1, ("refused", "busy"))
    site.wait(120)
    site.set({"action": "unlatch", "transaction": "c"}, to=STUDIO)
    assert (len(site.web_orders), site.told(STUDIO)[-1]) == (1, ("refused", "busy"))


def test_the_read_that_a_webhook_brings_confirms() -> None:
    site = CloudSite.with_cloud(wifi(1))
    site.set("unlock", to=STUDIO)
    site.answer_web(DeviceActionRequest)
    site.wait(0.3)
    site.have(wifi(3))
    site.hook(DeviceHook(STATUS, wifi(3)))
    site.wait(1)

    assert site.told(STUDIO) == [("accepted", None), ("confirmed", "target")]


# --- a full queue ---


def full() -> CloudSite:
    """So much waits for the cloud that nothing more is taken."""
    site = CloudSite.with_cloud(wifi(1), holds={AuthorizationListRequest}, seconds=30)
    link = site.web_side.link
    link.ask(AuthorizationListRequest(LOCK_ID), site.hand.moment)
    site.take([*link.handle_timer(site.hand.moment)])
    for _ in range(MOST_WAITING):
        link.ask(AuthorizationListRequest(LOCK_ID), site.hand.moment)
    assert link.ask(AuthorizationListRequest(LOCK_ID), site.hand.moment) is None
    return site


def test_an_order_goes_out_however_much_waits() -> None:
    site = full()
    site.set("unlock", to=STUDIO)
    site.wait(3)

    assert [call.request for call in site.web_orders] == [DeviceActionRequest(smartlock_id_of(4, WIFI), 1)]


def test_an_order_that_is_refused_at_once_ends_busy() -> None:
    site = CloudSite.with_cloud(wifi(1))
    orders, told = site.web_side.orders, site.hand.gateway._following
    site.web_side.link._is_active = False
    orders.order(WIFI, Action.UNLOCK, site.hand.monotonic, site.hand.monotonic + 10, site.hand.moment)
    site.web_side._asks.tell(site.hand.moment)

    ended = [news for news in told.take_news() if isinstance(news, CloudOrderEnded)]
    assert [turn_of(news.answer, opens=True) for news in ended] == [(Turn.NEVER_WRITTEN, Reason.BUSY)]


def test_a_flood_of_webhooks_about_one_lock_brings_one_read_more() -> None:
    site = CloudSite.with_cloud(wifi(1), holds={DeviceRequest})
    before = len(site.web)
    for code in [3, 1] * 20:
        site.hook(DeviceHook(STATUS, wifi(code)))
        site.tick()
    assert [name for _, name in site.web[before:]] == ["Device"]
    site.holds.clear()
    site.answer_web(DeviceRequest)
    site.wait(5)

    assert [name for _, name in site.web[before:] if name == "Device"] == ["Device", "Device"]


# --- an order and its read ---


def test_at_the_very_moment_when_the_read_is_too_old_it_is_made_again() -> None:
    site = CloudSite.with_cloud(wifi(1), seconds=0)
    view = site.web_side.truth.devices.view(WIFI)
    assert view is not None
    assert view.read is not None
    site.wait(8)
    link = site.web_side.link
    site.failing[AuthorizationListRequest] = WebError(WebErrorKind.TOO_MANY, "as told", retry_after_s=60)
    link.ask(AuthorizationListRequest(LOCK_ID), site.hand.moment)
    site.take([*link.handle_timer(site.hand.moment)])
    site.set("unlock", to=STUDIO)
    site.hand.monotonic = view.read + FRESH_S
    site.tick()

    assert site.web_orders == []
    assert site.web_side.truth.devices.sight(WIFI, site.hand.monotonic) is Sight.OLD


# --- after a restart ---


def restarted(site: CloudSite, *, memory: Memory | None = None, after_s: float = 30) -> CloudSite:
    return CloudSite.with_cloud(wifi(1), memory=memory or site.memory, started=site.hand.now + after_s, seconds=5)


def ordered() -> CloudSite:
    """An opening order was taken by the cloud."""
    site = CloudSite.with_cloud(wifi(1))
    site.set("unlock", to=STUDIO)
    site.answer_web(DeviceActionRequest)
    return site


def test_after_a_restart_a_confirmed_opening_holds_nothing() -> None:
    site = ordered()
    site.have(wifi(3))
    site.wait(4)
    assert site.told(STUDIO)[-1] == ("confirmed", "target")
    again = restarted(site)
    again.set("unlatch", to=STUDIO)

    assert again.told(STUDIO) == [("accepted", None)]


@pytest.mark.parametrize("accepted", [wall(3), wall(-86_400), wall(86_400), datetime(1970, 1, 1, tzinfo=UTC)])
def test_an_opening_that_was_left_open_holds_whatever_the_clock_said_then(accepted: datetime) -> None:
    site = ordered()
    journal = {key: replace(entry, accepted=accepted) for key, entry in site.memory.journal.items()}
    again = restarted(site, memory=replace(site.memory, journal=journal))
    again.set("unlatch", to=STUDIO)
    assert (again.web_orders, again.told(STUDIO)) == ([], [("unconfirmed", "restarted"), ("refused", "busy")])

    again.wait(121)
    again.set("unlatch", to=STUDIO)
    again.wait(3)
    assert len(again.web_orders) == 1


def test_an_unconfirmed_opening_holds_after_a_restart_too() -> None:
    site = ordered()
    site.wait(70)
    assert site.told(STUDIO)[-1][0] == "unconfirmed"
    again = restarted(site)
    again.set("unlatch", to=STUDIO)

    assert again.told(STUDIO) == [("refused", "busy")]


def test_an_old_opening_holds_nothing() -> None:
    site = ordered()
    site.wait(70)
    again = restarted(site, after_s=601)
    again.set("unlatch", to=STUDIO)

    assert again.told(STUDIO) == [("accepted", None)]
