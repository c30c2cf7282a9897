"""Hosts, topics and URLs: what can be used, and what to write instead of the rest."""

import pytest

from nuki2mqtt.errors import SettingsError
from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.protocol.settings_shape import EXAMPLE_ID


def no_file(path: str) -> str:
    raise AssertionError(f"nobody may read {path}")


def read(text: str) -> Settings:
    return read_settings(text, read_file=no_file)


def problems(text: str) -> list[tuple[str, str]]:
    with pytest.raises(SettingsError) as caught:
        read(text)
    return [(problem.place, problem.text) for problem in caught.value.problems]


def in_file(path: str, value: str) -> str:
    """The shortest file that sets one key; the value is the last thing in it."""
    first, *rest = path.split(".")
    lines = [f"{first}:"]
    indent = "  "
    for name in rest:
        if name == "0":
            lines.append(f"{indent}- host: 192.0.2.10" if rest[-1] != "host" else f"{indent}- port: 8080")
        else:
            lines.append(f"{indent}{name}:")
        indent += "  "
    return "\n".join(lines) + f" {value}"


HOSTS = {
    "http://192.0.2.10": "write only the host name or address, without http:// or mqtt:// before it",
    "192.0.2.10/": "write only the host name or address, without a slash",
    '"192.0.2.10 "': "write only the host name or address, without spaces",
    "user@example.org": "write only the host name or address; user and password have keys of their own",
    "192.0.2.10:8080": "write only the host name or address; the port has a key of its own",
    '"[2001:db8::1]"': "write an IPv6 address without brackets; the port has a key of its own",
    "192.0.2": "is not a complete address; write four numbers from 0 to 255, such as 192.0.2.10",
    "192.0.2.256": "is not a complete address; write four numbers from 0 to 255, such as 192.0.2.10",
    "10": "is not a complete address; write four numbers from 0 to 255, such as 192.0.2.10",
    "a..b": "is not a host name or address; write one such as 192.0.2.10 or nuki.example.org",
    "-a": "is not a host name or address; write one such as 192.0.2.10 or nuki.example.org",
    "schlüssel": "is not a host name or address; write one such as 192.0.2.10 or nuki.example.org",
}


@pytest.mark.parametrize("path", ["mqtt.host", "bridges.0.host", "callback.host", "callback.bind", "web.host"])
@pytest.mark.parametrize(("value", "said"), HOSTS.items())
def test_hosts_that_cannot_be_used(path: str, value: str, said: str) -> None:
    [(_, text)] = problems(in_file(path, value))
    assert text == f"{path}: {said}"


@pytest.mark.parametrize(
    "value", ["192.0.2.10", "a", "nuki.example.org.", "my_bridge", '"2001:db8::1"', '"fe80::1%eth0"', "4you.example"]
)
def test_hosts_that_can_be_used(value: str) -> None:
    assert read(in_file("mqtt.host", value)).mqtt.host == value.strip('"')


@pytest.mark.parametrize("value", ["0.0.0.0", '"::"'])
def test_no_bridge_reaches_the_unspecified_address(value: str) -> None:
    [(_, text)] = problems(in_file("callback.host", value))
    assert text == "callback.host: no Bridge can reach this address; write auto or this machine's address"


@pytest.mark.parametrize("path", ["mqtt.base_topic", "homeassistant.prefix"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("a/+", "must not contain the wildcards + and #"),
        ('"a/#"', "must not contain the wildcards + and #"),
        ("$SYS", "must not contain $, which belongs to the broker"),
        ("a/$b", "must not contain $, which belongs to the broker"),
        ("a/", "must not begin or end with a slash"),
        ("/a", "must not begin or end with a slash"),
        ("/", "must not begin or end with a slash"),
        ("a//b", "must not contain an empty level (two slashes in a row)"),
        ('"a /b"', "must not have spaces around a level"),
        ('" "', "must not have spaces around a level"),
        ('"a\\0b"', "must not contain control characters or line breaks"),
        ('"a\\x7fb"', "must not contain control characters or line breaks"),
        ('"a\\uFFFEb"', "must not contain control characters or line breaks"),
        ('"\\uFDD0"', "must not contain control characters or line breaks"),
        ("a" * 129, "must have at most 128 characters, has 129"),
        ('""', "must not be empty"),
    ],
)
def test_topics_that_cannot_be_used(path: str, value: str, said: str) -> None:
    [(_, text)] = problems(in_file(path, value))
    assert text == f"{path}: {said}"


@pytest.mark.parametrize("value", ["nuki", "nuki/a"])
def test_wifi_locks_publish_below_nuki(value: str) -> None:
    [(_, text)] = problems(in_file("mqtt.base_topic", value))
    assert text == "mqtt.base_topic: must not be nuki or below it, where Wi-Fi locks publish themselves"


@pytest.mark.parametrize("value", ["Nuki", "nukis", "home/nuki", "a/b/c", "Haustür", "a" * 128, "homeassistants"])
def test_topics_that_can_be_used(value: str) -> None:
    assert read(in_file("mqtt.base_topic", value)).mqtt.base_topic == value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("a/b", "must be one level, without a slash"),
        ("a+", "must not contain the wildcards + and #"),
        ("$a", "must not contain $, which belongs to the broker"),
        ("gateway", "must not be gateway or bridge, which the gateway uses itself"),
        ("bridge", "must not be gateway or bridge, which the gateway uses itself"),
        ("1a2b3c4D", "must not be eight hex digits, which would be an ID"),
        ("12345678", "must not be eight hex digits, which would be an ID"),
        ("a" * 41, "must have at most 40 characters, has 41"),
        ('"a\\tb"', "must not contain control characters or line breaks"),
    ],
)
def test_device_topics_that_cannot_be_used(value: str, said: str) -> None:
    path = f"devices.{EXAMPLE_ID}.topic"
    [(_, text)] = problems(in_file(path, value))
    assert text == f"{path}: {said}"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("api.nuki.io", "is not a URL; write one such as https://api.nuki.io"),
        ("ftp://api.nuki.io", "is not a URL; write one such as https://api.nuki.io"),
        ("https://", "is not a URL; write one such as https://api.nuki.io"),
        ("https://a:99999", "is not a URL; write one such as https://api.nuki.io"),
        ('"https://[a"', "is not a URL; write one such as https://api.nuki.io"),
        ("https://u:p@api.nuki.io", "must not contain a user or password"),
        ("https://api.nuki.io/", "must end after the host or path, without a slash, query or space"),
        ("https://api.nuki.io?a=b", "must end after the host or path, without a slash, query or space"),
        ("https://192.0.2", "is not a complete address; write four numbers from 0 to 255, such as 192.0.2.10"),
    ],
)
def test_urls_that_cannot_be_used(value: str, said: str) -> None:
    [(_, text)] = problems(in_file("nuki_web.base_url", value))
    assert text == f"nuki_web.base_url: {said}"


@pytest.mark.parametrize("value", ["/nuki", "/a", "/hooks/nuki-1/0badCAFE", "/a.b/c_d/~e", "/" + "a" * 127])
def test_webhook_paths_that_can_be_used(value: str) -> None:
    assert read(in_file("nuki_web.webhook.path", value)).nuki_web.webhook.path == value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("nuki", "write only the path, with a slash before it, such as /nuki"),
        ("https://nuki.example.org/nuki", "write only the path, with a slash before it, such as /nuki"),
        *(
            (value, "must be levels of letters, digits and . _ ~ -, each with one slash before it")
            for value in ("/", "/nuki/", "//nuki", "/a//b", "/a b", "/a?b=c", '"/a#b"', "/a%20b", "/ä", "/a/../b", "/.")
        ),
        ("/" + "a" * 128, "must have at most 128 characters, has 129"),
    ],
)
def test_webhook_paths_that_cannot_be_used(value: str, said: str) -> None:
    [(_, text)] = problems(in_file("nuki_web.webhook.path", value))
    assert text == f"nuki_web.webhook.path: {said}"
