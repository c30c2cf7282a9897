"""Finding Bridges: what is recognised, what is left out and why, and one line for each Bridge."""

import json
import string
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki2mqtt.errors import BridgeError, BridgeErrorKind, UnreadableBody
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.bridge_api import InfoAnswer, SuccessAnswer
from nuki2mqtt.protocol.discovery import (
    DOMAINS,
    SERVICE_TYPES,
    AnnouncedService,
    Candidate,
    Found,
    HostName,
    How,
    Tried,
    Verdict,
    find_in_cloud_list,
    find_in_names,
    find_in_service,
    host_names,
    is_bridge_like,
    join_found,
    join_tried,
    judge,
    usable_host,
)

ID = NukiId(0x0A1B2C3D)
HTTP, NUKI, HAP, MATTER = SERVICE_TYPES[0], SERVICE_TYPES[1], SERVICE_TYPES[2], SERVICE_TYPES[3]


def service(
    instance: str,
    server: str = "somewhere.local.",
    kind: str = HTTP,
    *,
    port: int = 8080,
    addresses: tuple[str, ...] = ("192.0.2.10",),
    **properties: str,
) -> AnnouncedService:
    return AnnouncedService(kind, f"{instance}.{kind}", server, port, addresses, properties)


def at(host: str = "192.0.2.10", *how: How, bridge_id: NukiId | None = ID, **other: Any) -> Candidate:
    return Candidate(host, other.pop("port", 8080), bridge_id, how or (How.MDNS,), **other)


# --- mDNS -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "bridge_id"),
    [
        (service("Nuki_Bridge_0A1B2C3D"), ID),
        (service("nuki-bridge-0a1b2c3d"), ID),
        (service("Nuki Bridge 0A1B2C3D-2"), ID),  # renamed, since the name was taken
        (service("NukiBridge0A1B2C3D"), ID),
        (service("Nuki Bridge", kind=NUKI), None),
        (service("Nuki", kind=NUKI), None),
        (service("Nuki_1A2B3C4D"), None),  # may be a lock's ID
        (service("Hall", "Nuki_Bridge_0A1B2C3D.local."), ID),
        (service("Hall", md="Nuki Bridge", id="0a1b2c3d"), ID),
        (service("Hall", MD="Nuki Bridge", ID="0A1B2C3D"), ID),
        (service("Hall", manufacturer="Nuki Home Solutions GmbH"), None),
        (service("Hall", fn="nuki"), None),
        (service("Hall", name="Nuki_Bridge_0A1B2C3D"), ID),
        (service("Nuki Bridge", kind=HAP, id="54:D2:72:00:00:01"), None),
    ],
)
def test_what_may_be_a_bridge(one: AnnouncedService, bridge_id: NukiId | None) -> None:
    assert is_bridge_like(one)
    [candidate] = find_in_service(one).candidates
    assert (candidate.host, candidate.port, candidate.bridge_id) == ("192.0.2.10", 8080, bridge_id)
    assert candidate.how == (How.MDNS,)


@pytest.mark.parametrize(
    "one",
    [
        service("Printer"),
        service("My Nuki Bridge"),
        service("Nukiyama Printer"),
        service("nuki2mqtt"),
        service("Nuki Hub", "nukihub.local."),
        service("nuki_hub_1"),
        service("Hall", note="Nuki Bridge"),
        service(""),
    ],
)
def test_what_is_none(one: AnnouncedService) -> None:
    assert not is_bridge_like(one)
    assert find_in_service(one) == Found()


@pytest.mark.parametrize(
    ("kind", "port", "asked"),
    [(HTTP, 8081, 8081), (NUKI, 9000, 9000), (HTTP, 0, 8080), (HAP, 51826, 8080), (MATTER, 5540, 8080)],
)
def test_the_port_of_another_protocol_is_not_asked(kind: str, port: int, asked: int) -> None:
    [candidate] = find_in_service(service("Nuki Bridge", kind=kind, port=port)).candidates
    assert candidate.port == asked


def test_the_host_name_is_shown_without_its_dot() -> None:
    [candidate] = find_in_service(service("Nuki", "Nuki_Bridge_0A1B2C3D.local.")).candidates
    assert candidate.names == ("Nuki_Bridge_0A1B2C3D.local",)


def test_ipv4_is_taken_where_there_is_both() -> None:
    found = find_in_service(service("Nuki", addresses=("fd00::5", "192.0.2.10", "fe80::1")))
    assert [candidate.host for candidate in found.candidates] == ["192.0.2.10"]
    assert found.notes == ()


def test_a_service_without_a_usable_address_says_why() -> None:
    found = find_in_service(service("Nuki Bridge", addresses=("fe80::1",)))
    assert found.candidates == ()
    assert found.notes == (
        (
            "fe80::1, an address of Nuki Bridge, is link-local and without its network, such as %eth0, "
            "so that nobody can reach it."
        ),
    )


# --- Addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("192.0.2.10", "192.0.2.10"),
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:192.0.2.10", "192.0.2.10"),
        ("FD00:0::5", "fd00::5"),
        ("fd00::5%3", "fd00::5"),  # a scope that it does not need
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("fe80::1%2", "fe80::1%2"),
    ],
)
def test_a_usable_address(text: str, host: str) -> None:
    assert usable_host(text) == host


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0.0.0.0", "not the address of one device"),
        ("::", "not the address of one device"),
        ("224.0.0.251", "not the address of one device"),
        ("ff02::fb", "not the address of one device"),
        ("255.255.255.255", "not the address of one device"),
        ("8.8.8.8", "of the internet"),
        ("::ffff:8.8.8.8", "of the internet"),
        ("2606:2800:220:1:248:1893:25c8:1946", "of the internet"),
        ("fe80::1", "link-local"),
        ("fe80::1%", "link-local"),
        ("fe80::1%a/b", "link-local"),
        ("192.0.2", "no address"),
        ("bridge.example.org", "no address"),
        ("", "no address"),
    ],
)
def test_an_address_that_cannot_be_used(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        usable_host(text)


# --- Host names -----------------------------------------------------------------------------------------------------


def test_names_are_padded() -> None:
    names = host_names({NukiId(0x6DFECE1): 8081})
    assert [one.name for one in names] == [f"Nuki_Bridge_06DFECE1{domain}" for domain in DOMAINS]
    assert {(one.bridge_id, one.port) for one in names} == {(NukiId(0x6DFECE1), 8081)}


def test_what_names_lead_to() -> None:
    short, local, silent = (
        HostName("Nuki_Bridge_0A1B2C3D", ID),
        HostName("Nuki_Bridge_0A1B2C3D.lan", ID),
        HostName("x", ID),
    )
    found = find_in_names({short: ("192.0.2.10",), local: ("192.0.2.10", "192.0.2.11"), silent: ()})
    assert found.candidates == (
        at("192.0.2.10", How.HOST_NAME, names=(short.name, local.name)),
        at("192.0.2.11", How.HOST_NAME, names=(local.name,)),
    )


# --- Nuki's list ----------------------------------------------------------------------------------------------------


def listed(*bridges: Any, **other: Any) -> bytes:
    return json.dumps({"bridges": bridges, "errorCode": 0, **other}).encode()


def test_the_list_as_documented() -> None:
    """Bridge API 1.13.2 section 3; the number is the server ID."""
    found = find_in_cloud_list(
        listed(
            {"bridgeId": 2117604523, "ip": "192.168.1.50", "port": 8080, "dateUpdated": "2017-06-14T06:53:44Z"},
            {"bridgeId": "7E381A2C", "ip": "10.0.0.5", "port": "8081"},
        )
    )
    assert found.candidates == (
        at("10.0.0.5", How.CLOUD, port=8081, bridge_id=None, server_id=NukiId(0x7E381A2C)),
        at("192.168.1.50", How.CLOUD, bridge_id=None, server_id=NukiId(2117604523)),
    )
    assert found.notes == ()


@pytest.mark.parametrize(
    ("entry", "note"),
    [
        ({"bridgeId": 1, "ip": "0.0.0.0", "port": 0}, "Bridge with server ID 00000001, because discovery is off there"),
        ({"bridgeId": 1, "ip": "192.168.1.50", "port": 0}, "because discovery is off there"),
        ({"bridgeId": 1}, "may be the app as a software Bridge"),
        ({"bridgeId": 1, "ip": "8.8.8.8", "port": 8080}, "not one of a home"),
        ({"bridgeId": 1, "ip": "127.0.0.1", "port": 8080}, "not one of a home"),
        ({"bridgeId": 1, "ip": "::ffff:127.0.0.1", "port": 8080}, "not one of a home"),
        ({"bridgeId": 1, "ip": "192.168.1.50", "port": 80800}, "not one of a home"),
        ({"ip": "fe80::1", "port": 8080}, "link-local"),
    ],
)
def test_entries_that_are_left_out_with_a_reason(entry: dict[str, Any], note: str) -> None:
    found = find_in_cloud_list(listed(entry))
    assert found.candidates == ()
    [said] = found.notes
    assert note in said


def test_entries_that_are_not_understood_are_passed_over() -> None:
    good = {"bridgeId": 1, "ip": "192.168.1.50", "port": 8080}
    found = find_in_cloud_list(listed(None, 3, [], "x", {"ip": "nowhere", "port": 1}, good))
    assert [candidate.host for candidate in found.candidates] == ["192.168.1.50"]


def test_a_long_list_and_an_error_are_noted() -> None:
    many = [{"bridgeId": number, "ip": f"192.168.1.{number}", "port": 8080} for number in range(1, 41)]
    found = find_in_cloud_list(listed(*many, errorCode=7))
    assert len(found.candidates) == 32
    assert [note.split(";")[0] for note in found.notes] == [
        "Nuki's list says that something went wrong there",
        "Nuki's list has 40 Bridges",
    ]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"3"])
def test_another_body_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableBody):
        find_in_cloud_list(body)


def test_an_object_without_bridges_has_none() -> None:
    assert find_in_cloud_list(b'{"bridges": null}') == Found()


# --- All together ---------------------------------------------------------------------------------------------------


def test_one_address_found_in_several_ways_is_one_candidate() -> None:
    server_id = NukiId(7)
    parts = [
        Found((at("192.0.2.10", How.CLOUD, bridge_id=None, server_id=server_id),), ("a",)),
        Found((at("192.0.2.10", How.MDNS, bridge_id=None, names=("a.local",)),), ("a", "b")),
        Found((at("192.0.2.10", How.HOST_NAME, names=("a.lan", "a.local")),)),
    ]
    [candidate] = join_found(parts).candidates
    assert candidate == at(
        "192.0.2.10", How.HOST_NAME, How.MDNS, How.CLOUD, server_id=server_id, names=("a.lan", "a.local")
    )
    assert candidate.ids == {ID, server_id}
    assert join_found(parts).notes == ("a", "b")
    assert join_found(reversed(parts)).candidates == (candidate,)


def test_the_better_way_comes_first() -> None:
    order = [
        at("192.0.2.30", How.HOST_NAME),
        at("192.0.2.20", How.MDNS, How.CLOUD),
        at("192.0.2.9", How.MDNS),
        at("192.0.2.10", How.MDNS),
        at("fd00::5", How.MDNS),
        at("192.0.2.1", How.MDNS, bridge_id=None),
        at("192.0.2.2", How.CLOUD),
    ]
    assert list(join_found([Found(tuple(reversed(order)))]).candidates) == order


def test_the_link_has_brackets_where_needed() -> None:
    assert at("fe80::1%2").link == "[fe80::1%2]:8080"
    assert at().link == "192.0.2.10:8080"


@pytest.mark.parametrize(
    ("answer", "verdict", "words"),
    [
        (BridgeError(BridgeErrorKind.TOKEN_REFUSED, "HTTP 401"), Verdict.BRIDGE, "401"),
        (InfoAnswer(bridge_type=1, hardware_id=ID), Verdict.BRIDGE, "even without a token"),
        (BridgeError(BridgeErrorKind.BUSY), Verdict.UNCLEAR, "busy"),
        (BridgeError(BridgeErrorKind.FORBIDDEN), Verdict.UNCLEAR, "busy or"),
        (BridgeError(BridgeErrorKind.REFUSED, "192.0.2.10:8080 refuses"), Verdict.SILENT, "192.0.2.10:8080 refuses"),
        (BridgeError(BridgeErrorKind.TIMEOUT), Verdict.SILENT, "does not answer"),
        (BridgeError(BridgeErrorKind.UNREADABLE, "<b>"), Verdict.OTHER, "something else"),
        (BridgeError(BridgeErrorKind.UNEXPECTED_STATUS), Verdict.OTHER, "something else"),
        (InfoAnswer(), Verdict.OTHER, "something else"),
        (SuccessAnswer(success=True), Verdict.OTHER, "something else"),
    ],
)
def test_what_answers_there(answer: Any, verdict: Verdict, words: str) -> None:
    tried = judge(at(), answer)
    assert (tried.verdict, tried.candidate) == (verdict, at())
    assert words in tried.text


def test_an_answer_tells_its_ids() -> None:
    tried = judge(at(bridge_id=None), InfoAnswer(bridge_type=1, hardware_id=ID, server_id=NukiId(7)))
    assert tried.candidate.ids == {ID, NukiId(7)}


def test_one_bridge_at_two_addresses_is_one_line() -> None:
    def tried(host: str, how: How, verdict: Verdict) -> Tried:
        return Tried(at(host, how), verdict, "")

    joined = join_tried(
        [
            tried("fd00::5", How.MDNS, Verdict.BRIDGE),
            tried("192.0.2.99", How.HOST_NAME, Verdict.SILENT),
            tried("192.0.2.10", How.MDNS, Verdict.BRIDGE),
            tried("192.0.2.11", How.CLOUD, Verdict.BRIDGE),
            Tried(at("192.0.2.50", bridge_id=None), Verdict.OTHER, ""),
        ]
    )
    assert joined == (
        Tried(at("192.0.2.10", How.MDNS, How.CLOUD), Verdict.BRIDGE, "", ("[fd00::5]:8080", "192.0.2.11:8080")),
        Tried(at("192.0.2.50", bridge_id=None), Verdict.OTHER, ""),
    )


def test_a_bridge_that_is_busy_does_not_vanish_behind_another_with_its_id() -> None:
    answers, busy = at("192.0.2.9", How.MDNS), at("192.0.2.10", How.MDNS)
    joined = join_tried([Tried(answers, Verdict.BRIDGE, ""), Tried(busy, Verdict.UNCLEAR, "")])

    assert joined == (Tried(answers, Verdict.BRIDGE, "", ("192.0.2.10:8080",)),)


# --- Whatever comes -------------------------------------------------------------------------------------------------

TEXT = st.text(max_size=40)
ADDRESS = st.one_of(st.ip_addresses().map(str), TEXT, st.ip_addresses(v=6).map(lambda one: f"{one}%eth0"))
SERVICE = st.builds(
    AnnouncedService,
    type=st.sampled_from(SERVICE_TYPES) | TEXT,
    name=TEXT | TEXT.map(lambda text: f"Nuki {text}"),
    server=TEXT,
    port=st.integers(-5, 70000),
    addresses=st.lists(ADDRESS, max_size=6).map(tuple),
    properties=st.dictionaries(st.sampled_from(["md", "id", "name"]) | TEXT, TEXT, max_size=4),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["ip", "port", "bridgeId"]), inner),
    max_leaves=12,
)


def check(found: Found) -> None:
    for candidate in found.candidates:
        assert 1 <= candidate.port <= 65535
        assert usable_host(candidate.host) == candidate.host
        assert set(candidate.host) <= set(string.ascii_letters + string.digits + ".:%_-")
    assert join_found([found, found]).candidates == join_found([found]).candidates


@given(SERVICE)
def test_no_announcement_does_harm(one: AnnouncedService) -> None:
    check(find_in_service(one))


@given(st.lists(JSON, max_size=4), st.none() | st.integers() | TEXT)
def test_no_list_does_harm(bridges: list[Any], error_code: Any) -> None:
    check(find_in_cloud_list(listed(*bridges, errorCode=error_code)))


@given(st.binary(max_size=60))
def test_no_bytes_do_harm(body: bytes) -> None:
    with suppress(UnreadableBody):
        check(find_in_cloud_list(body))


@given(st.lists(st.tuples(SERVICE, st.sampled_from(Verdict)), max_size=6))
def test_no_bridge_has_two_lines(announced: list[tuple[AnnouncedService, Verdict]]) -> None:
    tried = [
        Tried(candidate, verdict, "")
        for one, verdict in announced
        for candidate in find_in_service(replace(one, name="Nuki")).candidates
    ]
    joined = join_tried(tried)
    ids = [one.candidate.bridge_id for one in joined if one.candidate.bridge_id is not None]
    assert len(ids) == len(set(ids))
    assert [list(Verdict).index(one.verdict) for one in joined] == sorted(
        list(Verdict).index(one.verdict) for one in joined
    )
    assert all(ip_address(one.candidate.host.partition("%")[0]) for one in joined)
