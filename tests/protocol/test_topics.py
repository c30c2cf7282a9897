"""Slugs and the topic tree (docs/topics.md)."""

import re
from itertools import zip_longest

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.topics import MAX_SLUG, Inbound, TopicTree, choose_slugs, slug, slug_with_id

ID = NukiId(0x1A2B3C4D)
OTHER = NukiId(0x4D5E6F70)
BY_ID = "nuki_1a2b3c4d"


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("Front door", "front_door"),
        ("  Front -- door!  ", "front_door"),
        ("Haustür", "haustuer"),
        ("HAUSTÜR", "haustuer"),
        ("Hausto\u0308r", "haustoer"),
        ("Straße ä ö ü ß ẞ", "strasse_ae_oe_ue_ss_ss"),
        ("Café Ångström Łódź", "cafe_angstroem_odz"),
        ("Tür 2/3 +#$", "tuer_2_3"),
        ("２階", "2"),
        ("🚪 Keller 🔑", "keller"),
        ("a" * 50, "a" * 40),
        ("a" * 39 + " b", "a" * 39),
        ("", BY_ID),
        ("🚪🔑", BY_ID),
        ("дверь", BY_ID),
        ("___", BY_ID),
        ("deadbeef", BY_ID),
        ("DEADBEEF", BY_ID),
        ("12345678", BY_ID),
        ("1234567", "1234567"),
        ("123456789", "123456789"),
        ("deadbeeg", "deadbeeg"),
        ("gateway", BY_ID),
        ("Gateway!", BY_ID),
        ("bridge", BY_ID),
        ("bridge 2", "bridge_2"),
        ("Nuki_1A2B3C4D", BY_ID),
    ],
)
def test_the_slug_of_a_name(name: str, topic: str) -> None:
    assert slug(name, ID) == topic


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("Door", "door_3c4d"),
        ("a" * 50, "a" * 35 + "_3c4d"),
        ("a" * 34 + " bcdefgh", "a" * 34 + "_3c4d"),
        ("", "nuki_1a2b3c4d_3c4d"),
    ],
)
def test_the_slug_with_the_last_four_digits(name: str, topic: str) -> None:
    assert slug_with_id(name, ID) == topic


@pytest.mark.parametrize(
    ("names", "taken", "topics"),
    [
        ({ID: "Door", OTHER: "Yard"}, (), {ID: "door", OTHER: "yard"}),
        ({ID: "Door", OTHER: "DOOR!"}, (), {ID: "door_3c4d", OTHER: "door_6f70"}),
        ({ID: "Door"}, ("door",), {ID: "door_3c4d"}),
        ({ID: "Door"}, ("door", "door_3c4d"), {ID: BY_ID}),
        ({ID: "", OTHER: ""}, (), {ID: BY_ID, OTHER: "nuki_4d5e6f70"}),
        ({ID: "Door", NukiId(0x99993C4D): "Door"}, (), {ID: "door_3c4d", NukiId(0x99993C4D): "nuki_99993c4d"}),
        ({OTHER: "Door 3C4D", ID: "Door"}, ("door",), {OTHER: "door_3c4d", ID: BY_ID}),
        ({}, ("door",), {}),
    ],
)
def test_topics_of_devices_first_seen_together(
    names: dict[NukiId, str], taken: tuple[str, ...], topics: dict[NukiId, str]
) -> None:
    assert choose_slugs(names, taken) == topics


IDS = st.integers(0, 0xFFFF_FFFF).map(NukiId)
NAMES = st.one_of(
    st.text(max_size=60),
    st.sampled_from(["Door", "door", "Door ", "Tür", "gateway", "bridge", "deadbeef", "", "a" * 60, "a" * 40 + "b"]),
)


@given(st.dictionaries(IDS, NAMES, max_size=8), st.sets(NAMES.map(lambda name: slug(name, OTHER)), max_size=4))
@example({ID: "x" * 40, OTHER: "x" * 41}, {"x" * 40})
def test_topics_are_always_unique_and_well_formed(names: dict[NukiId, str], taken: set[str]) -> None:
    topics = choose_slugs(names, taken)

    assert set(topics) == set(names)
    assert len(set(topics.values())) == len(topics)
    assert not set(topics.values()) & taken
    for topic in topics.values():
        assert re.fullmatch(r"[a-z0-9_]{1,40}", topic)
        assert topic not in {"gateway", "bridge"}
        assert not re.fullmatch(r"[0-9a-f]{8}", topic)


@given(NAMES, IDS)
def test_a_slug_does_not_depend_on_what_it_is_made_of_twice(name: str, nuki_id: NukiId) -> None:
    once = slug(name, nuki_id)

    assert slug(once, nuki_id) == once
    assert len(once) <= MAX_SLUG


def test_a_name_in_the_form_of_another_device_s_fallback_takes_it_from_nobody() -> None:
    thief = NukiId(0x00000001)
    topics = choose_slugs({thief: "Nuki 1A2B3C4D", NukiId(0x99993C4D): "Door 3C4D", ID: "Door"}, {"door"})

    assert len(set(topics.values())) == len(topics)


# --- the tree ---

TREE = TopicTree("home/nuki", "ha/discovery")
BUILT = {
    "home/nuki/gateway/state": TREE.gateway_state,
    "home/nuki/gateway/info": TREE.gateway_info,
    "home/nuki/gateway/devices": TREE.gateway_devices,
    "home/nuki/gateway/health": TREE.gateway_health,
    "home/nuki/bridge/1A2B3C4D": TREE.bridge(ID),
    "home/nuki/bridge/1A2B3C4D/availability": TREE.bridge_availability(ID),
    "home/nuki/front_door": TREE.device("front_door"),
    "home/nuki/front_door/battery/level": TREE.attribute("front_door", "battery/level"),
    "home/nuki/front_door/availability": TREE.availability("front_door"),
    "home/nuki/front_door/event": TREE.event("front_door"),
    "home/nuki/front_door/event/late": TREE.event_late("front_door"),
    "ha/discovery/status": TREE.home_assistant_status,
    "home/nuki/+": TREE.snapshots_filter,
    "home/nuki/bridge/+/availability": TREE.bridges_filter,
    "home/nuki/front_door/result": TREE.result("front_door"),
    "home/nuki/gateway/response/refresh": TREE.response("refresh"),
}
PARSED = {
    "home/nuki/gateway/state": Inbound.GATEWAY_STATE,
    "home/nuki/gateway/info": Inbound.GATEWAY_INFO,
    "home/nuki/gateway/health": Inbound.GATEWAY_HEALTH,
    "ha/discovery/status": Inbound.HOME_ASSISTANT_STATUS,
    "home/nuki/front_door": Inbound.SNAPSHOT,
    "home/nuki/bridge/1A2B3C4D/availability": Inbound.BRIDGE_AVAILABILITY,
}


def test_the_topics_are_those_of_the_contract() -> None:
    assert {topic: built for topic, built in BUILT.items() if topic != built} == {}


@pytest.mark.parametrize("topic", [topic for topic in BUILT if "+" not in topic])
def test_every_topic_of_ours_is_read_as_what_it_is(topic: str) -> None:
    assert TREE.parse(topic) is PARSED.get(topic)


@pytest.mark.parametrize(
    "topic",
    ["", "home", "home/nuki", "home/nuki/", "home/nukix/a", "nuki/a", "x/home/nuki/a", "home/nuki/a/b", "ha/status"],
)
def test_what_is_not_ours_is_nothing(topic: str) -> None:
    assert TREE.parse(topic) is None


# --- commands ---

ORDERS = {
    "home/nuki/front_door/set": (Inbound.SET, "front_door"),
    "home/nuki/1A2B3C4D/set": (Inbound.SET, "1A2B3C4D"),
    "home/nuki/front_door/get": (Inbound.GET, "front_door"),
    "home/nuki/gateway/request/refresh": (Inbound.REQUEST, "refresh"),
    "home/nuki/gateway/request/set": (Inbound.REQUEST, "set"),
    "home/nuki/gateway/request/": (Inbound.REQUEST, ""),
    # Nobody is called so: refused, not overlooked.
    "home/nuki/gateway/set": (Inbound.SET, "gateway"),
    "home/nuki/bridge/get": (Inbound.GET, "bridge"),
    "home/nuki//set": (Inbound.SET, ""),
    "home/nuki/front_door/keypad/set": (Inbound.KEYPAD_SET, "front_door"),
}


def is_matched(topic: str, topic_filter: str) -> bool:
    """MQTT's rule for a filter whose wildcards are all `+`."""
    pairs = zip_longest(topic.split("/"), topic_filter.split("/"))
    return all(level == wanted or (wanted == "+" and level is not None) for level, wanted in pairs)


def test_the_filters_of_commands() -> None:
    assert TREE.command_filters == (
        "home/nuki/+/set",
        "home/nuki/+/get",
        "home/nuki/gateway/request/+",
        "home/nuki/+/keypad/set",
    )


@pytest.mark.parametrize(("topic", "found"), ORDERS.items())
def test_what_the_filters_bring_is_read_as_what_it_is(topic: str, found: tuple[Inbound, str]) -> None:
    assert (TREE.parse(topic), TREE.addressee(topic)) == found
    assert [is_matched(topic, each) for each in TREE.command_filters].count(True) == 1


@pytest.mark.parametrize(
    "topic",
    [
        "home/nuki/front_door/SET",
        "home/nuki/front_door/set/x",
        "home/nuki/front_door/x/set",
        "home/nuki/set/x",
        "home/nuki/gateway/request",
        "home/nuki/gateway/request/refresh/x",
        "home/nuki/gateway/response/refresh",
        "elsewhere/front_door/set",
        "ha/discovery/front_door/set",
    ],
)
def test_what_is_no_command(topic: str) -> None:
    assert TREE.parse(topic) not in {Inbound.SET, Inbound.GET, Inbound.REQUEST, Inbound.KEYPAD_SET}
    assert not any(is_matched(topic, each) for each in TREE.command_filters)


@pytest.mark.parametrize("topic", [topic for topic in BUILT if "+" not in topic])
def test_nothing_that_we_say_is_a_command(topic: str) -> None:
    assert TREE.parse(topic) not in {Inbound.SET, Inbound.GET, Inbound.REQUEST, Inbound.KEYPAD_SET}
    assert not any(is_matched(topic, each) for each in TREE.command_filters)


LEVELS = st.text(st.characters(exclude_characters="/+#", exclude_categories=["Cs"]), max_size=8)


@given(LEVELS, st.sampled_from(["home/nuki", "n", "a/b/c"]))
def test_the_addressee_is_the_level_that_the_filter_leaves_open(level: str, base: str) -> None:
    tree = TopicTree(base, "homeassistant")

    assert [tree.addressee(each.replace("+", level)) for each in tree.command_filters] == [level] * 4


@pytest.mark.parametrize(
    "topic",
    [
        "answers",
        "answers/1",
        "a/b/c",
        "/",
        "settings",
        "x/sets",
        "home/nukix/answers",
        "home",
        "ha",
        "x/set/1",
        "t" * 512,
    ],
)
def test_where_we_may_respond(topic: str) -> None:
    assert TREE.may_respond(topic)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "t" * 513,
        "answers/+",
        "answers/#",
        "ans+wers",
        "ans#wers",
        "$SYS/x",
        "$share/group/answers",
        "answers/$1",
        "answers\0",
        "home/nuki",
        "home/nuki/",
        "home/nuki/front_door",
        "home/nuki/answers/1",
        "ha/discovery",
        "ha/discovery/lock/config",
        "ha/discovery/status",
        "set",
        "get",
        "config",
        "lockAction",
        "zigbee2mqtt/lamp/set",
        "zigbee2mqtt/lamp/get",
        "elsewhere/lock/x/config",
        "nuki/1A2B3C4D/lockAction",
        "/set",
    ],
)
def test_where_we_may_not_respond(topic: str) -> None:
    assert not TREE.may_respond(topic)


@given(st.text(max_size=30), st.sampled_from(["home/nuki", "nuki2mqtt"]))
def test_no_response_topic_is_one_that_we_read(topic: str, base: str) -> None:
    tree = TopicTree(base, "homeassistant")
    for candidate in (topic, f"{base}/{topic}", f"{base}/{topic}/set", f"{base}/gateway/request/{topic}"):
        assert not tree.may_respond(candidate) or tree.parse(candidate) is None


@pytest.mark.parametrize("level", ["front_door", "a", "nuki_1a2b3c4d"])
def test_the_device_s_level_is_read_back(level: str) -> None:
    assert TREE.device_topic(TREE.device(level)) == level


@pytest.mark.parametrize(
    ("topic", "bridge"),
    [
        ("home/nuki/bridge/1A2B3C4D/availability", ID),
        ("home/nuki/bridge/1A2B3C4D", None),
        ("home/nuki/bridge/1A2B3C4D/availability/x", None),
        ("home/nuki/bridge/front_door/availability", None),
        ("home/nuki/bridge//availability", None),
        ("home/nuki/front_door/availability", None),
        ("elsewhere/bridge/1A2B3C4D/availability", None),
    ],
)
def test_the_bridge_of_an_availability_topic(topic: str, bridge: NukiId | None) -> None:
    assert TREE.bridge_of(topic) == bridge


@pytest.mark.parametrize("written", ["1a2b3c4d", "ABC", "0"])
def test_only_an_id_as_we_write_it_is_a_bridge_s_level(written: str) -> None:
    assert TREE.bridge_of(f"home/nuki/bridge/{written}/availability") is None


def test_a_base_of_one_level_is_read_alike() -> None:
    tree = TopicTree("nuki2mqtt", "homeassistant")

    assert tree.parse("nuki2mqtt/gateway/state") is Inbound.GATEWAY_STATE
    assert tree.parse("nuki2mqtt/front_door") is Inbound.SNAPSHOT
    assert tree.parse("homeassistant/status") is Inbound.HOME_ASSISTANT_STATUS
