"""A gateway that spares itself work, beside one that does everything at every event: they say and ask the same.

The second one never rests and always looks at what may be shown. Both live the same drawn life.
"""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from nuki2mqtt.errors import BridgeError
from nuki2mqtt.gateway.vocabulary import Effect, MemorySaved, Moment, MqttPublished
from tests.gateway.builders import CONFIG, LINK, LOCK, OTHER_LINK, state
from tests.gateway.site import BOTH, NO, YES, Site, failure

TWO = CONFIG + "  - {host: 192.0.2.11, token: abcdef}\n"
STEPS = 120
STATES = (1, 2, 3, 4, 5, 6, 7, 254)
FAILURES = ("timeout", "busy", "refused", "device_offline")
MAY_WAIT = ("seen", "source", "rssi_dbm")  # a difference in these alone may be said later (docs/topics.md, "Device")
ACK = MqttPublished(10**9)

Deed = Callable[[Site], None]


def never_resting(site: Site) -> Site:
    gateway = site.hand.gateway
    settle = gateway._settle

    def settle_all(now: Moment, **_: object) -> list[Effect]:
        gateway._rests_until = None
        return settle(now, is_new=True, may_show=True)

    gateway._settle = settle_all  # type: ignore[method-assign]
    return site


class Author:
    """Draws what happens next, for both alike."""

    def __init__(self, seed: int, links: list[str]) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - a seed is the point
        self._links = links
        self._number = 0

    def draw(self) -> Deed:
        chance, link = self._chance, self._chance.choice(self._links)
        self._number += 1
        pause_s = round(chance.choice([0.05, 0.5, 1, 3, 7, 20, 61, 100]) * chance.random(), 3)
        said, kind = state(chance.choice(STATES)), chance.choice(FAILURES)
        answer = chance.choice([YES, YES, YES, NO, failure(kind)])
        read = chance.choice([said, said, None, failure("timeout")])
        order = {"action": chance.choice(["lock", "lock", "unlock", "unlatch"]), "transaction": self._number}
        ago_s, is_forced = chance.uniform(0, 3), chance.random() < 0.5
        deeds: list[Deed] = [
            lambda site: site.wait(pause_s),
            lambda site: _call_back(site, said, link),
            lambda site: _list_says(site, said, link, ago_s),
            lambda site: site.set(order),
            lambda site: _answer(site, answer),
            lambda site: _answer_read(site, read),
            lambda site: site.get({"force": is_forced}),
            lambda site: _fail(site, link, kind),
            lambda site: _heal(site, link),
            lambda site: site.take(site.hand.tell(ACK)),
            lambda site: site.take(site.hand.tell(MemorySaved())),
            lambda site: site.reconnect(),
            lambda site: site.request("refresh"),
            _acknowledge_too_late,
        ]
        return chance.choices(deeds, [4, 2, 2, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 2])[0]


def _call_back(site: Site, said: Any, link: str) -> None:
    if not isinstance(site.lists[link], BridgeError):
        site.call_back(said, LOCK, link)


def _list_says(site: Site, said: Any, link: str, ago_s: float) -> None:
    if not isinstance(site.lists[link], BridgeError):
        site.list_says(said, site.hand.now - ago_s, LOCK, link)


def _answer(site: Site, answer: Any) -> None:
    if site.orders:
        site.answer(answer)


def _answer_read(site: Site, answer: Any) -> None:
    if site.reads:
        site.answer_read(answer)


def _fail(site: Site, link: str, kind: str) -> None:
    site.lists[link] = site.infos[link] = failure(kind)


def _heal(site: Site, link: str) -> None:
    site.lists[link] = BOTH
    site.infos.pop(link, None)


def _acknowledge_too_late(site: Site) -> None:
    """An acknowledgement comes when something is due, and before the timer does."""
    due = site.hand.gateway.next_deadline()
    if due is not None:
        site.hand.monotonic = max(site.hand.monotonic, due + 0.001)
        site.take(site.hand.tell(ACK))


def retained(site: Site) -> dict[str, object]:
    """What the broker is to hold; the health's counters aside."""
    said: dict[str, object] = {}
    for topic, one in site.hand.gateway._publications._wanted.items():
        if topic.endswith("gateway/health"):
            continue
        is_object = one.payload.startswith(b"{")
        said[topic] = one.payload
        if is_object:
            body = json.loads(one.payload)
            said[topic] = {key: value for key, value in body.items() if key not in MAY_WAIT}
    return said


@pytest.mark.parametrize("seed", range(24))
def test_what_is_spared_is_missed_by_nobody(seed: int) -> None:
    config = TWO if seed % 3 == 0 else CONFIG
    sparing, doing_all = Site.at_work(config), never_resting(Site.at_work(config))
    author = Author(seed, [LINK, OTHER_LINK] if seed % 3 == 0 else [LINK])
    for _ in range(STEPS):
        deed = author.draw()
        for site in (sparing, doing_all):
            deed(site)
        now = max(site.hand.monotonic for site in (sparing, doing_all)) + 0.02
        for site in (sparing, doing_all):
            site.wait(now - site.hand.monotonic)

        assert retained(sparing) == retained(doing_all)
        assert sparing.asked == doing_all.asked
        assert sparing.memory == doing_all.memory
