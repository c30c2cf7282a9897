"""Our place among three slots: ours is found, put right and given back; a foreign one is never touched."""

import itertools

import pytest

from nuki2mqtt.gateway.callback_lease import (
    SLOTS,
    Full,
    Held,
    OwnCallback,
    Register,
    Unregister,
    masked_url,
    next_release,
    next_step,
    view_slots,
)
from nuki2mqtt.model.bridge import CallbackSlot
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.payloads import SlotView

OWN = OwnCallback("192.0.2.5", 8321, Secret("/callback/1234abcd/5ecret"), "1234abcd")
RIGHT = "http://192.0.2.5:8321/callback/1234abcd/5ecret"
OLD = {
    "another address": "http://192.0.2.77:8321/callback/1234abcd/5ecret",
    "another secret": "http://192.0.2.5:8321/callback/1234abcd/0ld",
    "an instance id that was lost": "http://192.0.2.5:8321/callback/99999999/5ecret",
}
FOREIGN = {
    "another program": "http://192.0.2.6:8123/api/webhook/abc",
    "another gateway": "http://192.0.2.6:8321/callback/99999999/5ecret",
    "a program at our port's neighbour": "http://192.0.2.5:8322/callback/x/y",
    "a program at our address": "http://192.0.2.5:8321/notify/1234abcd/",
    "a longer id": "http://192.0.2.6/callback/1234abcdef/x",
    "an address that is none": "http://[::1/callback/1234abcd/x",
    "a port that is none": "http://192.0.2.6:99999/callback/1234abcd/x",
    "nothing": "",
}
KINDS = {RIGHT: "right", **dict.fromkeys(OLD.values(), "old"), **dict.fromkeys(FOREIGN.values(), "foreign")}


def slots(*urls: str) -> tuple[CallbackSlot, ...]:
    """The slots of a Bridge, where numbers are positions."""
    return tuple(CallbackSlot(number, url) for number, url in enumerate(urls))


def test_our_url() -> None:
    assert OWN.url().reveal() == RIGHT
    assert str(OWN.url()) == "***"
    assert (
        OwnCallback("fd00::5", 8321, Secret("/callback/1/2"), "1").url().reveal()
        == "http://[fd00::5]:8321/callback/1/2"
    )


@pytest.mark.parametrize("url", [RIGHT, *OLD.values()])
def test_what_is_ours(url: str) -> None:
    assert OWN.is_own(CallbackSlot(0, url))


@pytest.mark.parametrize("url", FOREIGN.values())
def test_what_is_not_ours(url: str) -> None:
    assert not OWN.is_own(CallbackSlot(0, url))


def test_ours_at_an_ipv6_address_with_the_id_lost() -> None:
    own = OwnCallback("fd00::5", 8321, Secret("/callback/1234abcd/5ecret"), "1234abcd")

    assert own.is_own(CallbackSlot(0, "http://[fd00::5]:8321/callback/99999999/x"))


def test_ours_under_a_host_name_with_capitals_and_the_id_lost() -> None:
    own = OwnCallback("Homeserver.lan", 8321, Secret("/callback/1234abcd/5ecret"), "1234abcd")

    assert own.is_own(CallbackSlot(0, "http://Homeserver.lan:8321/callback/99999999/x"))


OLD_URL, FOREIGN_URL = OLD["another secret"], FOREIGN["another program"]


@pytest.mark.parametrize(
    ("urls", "step"),
    [
        ((), Register(Secret(RIGHT))),
        ((FOREIGN_URL, FOREIGN_URL), Register(Secret(RIGHT))),
        ((RIGHT,), Held()),
        ((FOREIGN_URL, RIGHT, FOREIGN_URL), Held()),
        ((FOREIGN_URL, FOREIGN_URL, FOREIGN_URL), Full()),
        ((OLD_URL,), Unregister(CallbackSlot(0, OLD_URL))),
        ((FOREIGN_URL, OLD_URL, RIGHT), Unregister(CallbackSlot(1, OLD_URL))),
        ((RIGHT, RIGHT), Unregister(CallbackSlot(1, RIGHT))),
        ((RIGHT, FOREIGN_URL, RIGHT), Unregister(CallbackSlot(2, RIGHT))),
    ],
)
def test_the_next_step(urls: tuple[str, ...], step: object) -> None:
    assert next_step(slots(*urls), OWN) == step


ALL_SLOTS = [
    urls
    for count in range(SLOTS + 1)
    for urls in itertools.product([RIGHT, *OLD.values(), FOREIGN_URL, FOREIGN["another gateway"]], repeat=count)
]


def foreign_in(urls: list[str] | tuple[str, ...]) -> list[str]:
    return [url for url in urls if KINDS[url] == "foreign"]


@pytest.mark.parametrize("urls", ALL_SLOTS, ids=lambda urls: "+".join(KINDS[url] for url in urls) or "none")
def test_in_a_few_steps_our_url_is_registered_once_and_foreign_ones_are_as_they_were(urls: tuple[str, ...]) -> None:
    bridge = list(urls)
    for _ in range(2 * SLOTS):
        match next_step(slots(*bridge), OWN):
            case Held() | Full():
                break
            case Register(url):
                assert len(bridge) < SLOTS
                assert url.reveal() not in bridge
                bridge.append(url.reveal())
            case Unregister(slot):
                assert bridge.pop(slot.id) == slot.url
                assert KINDS[slot.url] != "foreign"
    full = len(foreign_in(urls)) == SLOTS

    assert foreign_in(bridge) == foreign_in(urls)
    assert [url for url in bridge if KINDS[url] != "foreign"] == ([] if full else [RIGHT])
    assert isinstance(next_step(slots(*bridge), OWN), Full if full else Held)


@pytest.mark.parametrize("urls", ALL_SLOTS, ids=lambda urls: "+".join(KINDS[url] for url in urls) or "none")
def test_before_we_stop_all_of_ours_are_given_back_and_nothing_else(urls: tuple[str, ...]) -> None:
    bridge = list(urls)
    steps = 0
    while (step := next_release(slots(*bridge), OWN)) is not None:
        assert bridge.pop(step.slot.id) == step.slot.url
        steps += 1

    assert bridge == foreign_in(urls)
    assert steps == len(urls) - len(bridge)


def test_ids_with_gaps_are_taken_as_they_are() -> None:
    gap = (CallbackSlot(0, FOREIGN_URL), CallbackSlot(2, OLD_URL))

    assert next_step(gap, OWN) == Unregister(CallbackSlot(2, OLD_URL))
    assert next_release(gap, OWN) == Unregister(CallbackSlot(2, OLD_URL))


# --- as shown ---


@pytest.mark.parametrize(
    ("url", "address", "is_own"),
    [
        (RIGHT, "192.0.2.5:8321", True),
        (FOREIGN_URL, "192.0.2.6:8123", False),
        ("http://homeassistant.local/api/webhook/secret", "homeassistant.local:80", False),
        ("http://[fd00::7]:8080/x", "[fd00::7]:8080", False),
        ("http://user:pass@192.0.2.6/x", "192.0.2.6:80", False),
        ("http://[::1/x", "?", False),
        ("http://192.0.2.6:99999/x", "?", False),
        ("nonsense", "?:80", False),
    ],
)
def test_a_slot_shows_address_and_owner_but_no_path(url: str, address: str, *, is_own: bool) -> None:
    assert view_slots((CallbackSlot(2, url),), OWN) == (SlotView(2, address, is_own),)


def test_without_a_callback_of_our_own_no_slot_is_ours() -> None:
    assert view_slots(slots(RIGHT), None) == (SlotView(0, "192.0.2.5:8321", is_own=False),)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://192.0.2.20:51828/hook", "http://192.0.2.20:51828/hook"),
        ("http://192.0.2.20", "http://192.0.2.20"),
        ("HTTP://[2001:db8::1]:80/a/b", "HTTP://[2001:db8::1]:80/a/b"),
        ("http://192.0.2.20/hook?key=1", "http://192.0.2.20/hook?***"),
        ("http://192.0.2.20/hook;a#b", "http://192.0.2.20/hook?***"),
        (f"http://192.0.2.20/{'a' * 24}/{'b' * 25}/c", f"http://192.0.2.20/{'a' * 24}/***/c"),
        ("http://me:pass@192.0.2.20/hook", "http://***@192.0.2.20/hook"),
        ("http://me:pa/ss@192.0.2.20/hook", "http://***@192.0.2.20/hook"),
        ("http://192.0.2.5:8321/callback/1234abcd/5ecret", "http://192.0.2.5:8321/callback/***/***"),
        ("http://192.0.2.5/a/Callback/b/c/d", "http://192.0.2.5/a/Callback/***/***/***"),
        ("http://192.0.2.5/callback/a@b/c", "http://***@b/***"),
        ("192.0.2.5/hook", "***"),
        ("mailto://a/b", "***"),
        ("", "***"),
    ],
)
def test_a_slot_is_shown_without_what_may_be_a_secret(url: str, shown: str) -> None:
    assert masked_url(url) == shown


def test_the_repr_of_a_slot_shows_no_url() -> None:
    assert repr(CallbackSlot(0, RIGHT)) == "CallbackSlot(id=0)"
