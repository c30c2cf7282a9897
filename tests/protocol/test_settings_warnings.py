"""What is unusual but allowed: each case warns once and says the next step."""

import pytest

from nuki2mqtt.protocol.settings_reader import read_settings


def no_file(path: str) -> str:
    raise AssertionError(f"nobody may read {path}")


def warnings(text: str) -> tuple[str, ...]:
    return read_settings(text, read_file=no_file).warnings


WITHOUT_TLS = "has no effect without TLS; set mqtt.tls.enabled to true or leave this out"
LOOPBACK = (
    "callback.host: a loopback address reaches no other machine, so a Bridge could not call back;"
    " use auto or this machine's address in the Bridge's network"
)
TOKEN = (
    "bridges.0.token: Bridge tokens have 6 to 20 characters, this one has not;"
    " compare it with the Nuki app (Manage Bridge)"
)
SINGLE = [
    ("poll: {list_s: 9.9}", "poll.list_s: below 10 s a Bridge begins to answer 503; use 10 or more"),
    ("poll: {min_gap_s: 0.4}", "poll.min_gap_s: below 0.5 s a Bridge begins to answer 503; use 0.5 or more"),
    ("poll: {forced_min_s: 59}", "poll.forced_min_s: below 60 s the locks' batteries suffer; use 60 or more"),
    (
        "commands: {bare_opening: true}",
        (
            "commands.bare_opening: true lets an opening command that was queued for hours open the door over MQTT"
            " 3.1.1; let senders give ts instead"
        ),
    ),
    (
        "commands: {trust_clock: always}",
        (
            "commands.trust_clock: always lets a wrong clock take old commands for fresh ones; use auto and set this"
            " machine's clock by NTP"
        ),
    ),
    ("callback: {host: 127.0.0.1}", LOOPBACK),
    ("callback: {host: 127.1.2.3}", LOOPBACK),
    ("callback: {host: '::1'}", LOOPBACK),
    ("callback: {host: LocalHost}", LOOPBACK),
    (
        "mqtt: {tls: {enabled: true, verify: false}}",
        "mqtt.tls.verify: false lets anybody pose as the broker; set mqtt.tls.ca instead",
    ),
    ("mqtt: {tls: {ca: a}}", f"mqtt.tls.ca: {WITHOUT_TLS}"),
    ("mqtt: {tls: {verify: false}}", f"mqtt.tls.verify: {WITHOUT_TLS}"),
    (
        "mqtt: {password: a}",
        "mqtt.password: most brokers ignore a password without a user; set mqtt.username",
    ),
    ("mqtt: {port: 8883}", "mqtt.port: 8883 is the TLS port; set mqtt.tls.enabled to true or use 1883"),
    (
        "mqtt: {port: 1883, tls: {enabled: true}}",
        "mqtt.port: 1883 is the port without TLS; leave it out to use 8883",
    ),
    (
        "bridges: [{host: a, auth: plain}]",
        "bridges.0.auth: plain sends the token readable to all in the network; use auto",
    ),
    (
        "bridges: [{host: a, allow_plain: true}]",
        (
            "bridges.0.allow_plain: true lets the token be sent readable to all in the network;"
            " leave it out if the Bridge can do better"
        ),
    ),
    ("bridges: [{host: a, token: 12345}]", TOKEN),
    (f"bridges: [{{host: a, token: {'1' * 21}}}]", TOKEN),
    (
        "nuki_web: {base_url: 'http://api.example.org'}",
        "nuki_web.base_url: without https the token can be read on the way; use https",
    ),
    (
        "nuki_web: {webhook: {secret: a}}",
        "nuki_web.webhook.secret: has no effect without a token; set nuki_web.token or leave this out",
    ),
]


@pytest.mark.parametrize(("text", "said"), SINGLE)
def test_one_warning(text: str, said: str) -> None:
    assert warnings(text) == (said,)


@pytest.mark.parametrize(
    "text",
    [
        "poll: {list_s: 10, min_gap_s: 0.5, forced_min_s: 60}",
        "commands: {bare_opening: false, trust_clock: auto, wait: true, overlap: queue, ttl_s: 60, confirm_s: 300}",
        "callback: {enabled: false, host: 127.0.0.1}",
        "callback: {host: 192.0.2.2}",
        "mqtt: {tls: {enabled: true, ca: a, cert: b, key: c}}",
        "mqtt: {tls: {enabled: false, ca: null, cert: null, key: null, verify: true}}",
        "mqtt: {username: a, password: b}",
        "mqtt: {username: a}",
        "bridges: [{host: a, token: 123456}, {host: b, token: 12345678901234567890}]",
        "nuki_web: {base_url: 'http://localhost:8080'}",
        "nuki_web: {webhook: {host: 0.0.0.0, port: 9000, path: /hooks/nuki}}",
    ],
)
def test_nothing_unusual(text: str) -> None:
    assert warnings(text) == ()


def test_cert_and_key_without_tls() -> None:
    assert warnings("mqtt: {tls: {cert: a, key: b}}") == (
        f"mqtt.tls.cert: {WITHOUT_TLS}",
        f"mqtt.tls.key: {WITHOUT_TLS}",
    )


def test_the_embedded_broker_warns_when_locks_are_behind_it() -> None:
    trying_out = "mqtt.embedded: this broker is meant for trying out; use one of its own for real locks"
    assert warnings("mqtt: {embedded: true}") == ()
    assert warnings("mqtt: {embedded: true, username: a, password: b}\nbridges: [{host: a}]") == (trying_out,)
    everybody = "mqtt.embedded: everybody who is logged in to this machine can command the locks;"
    said = f"{everybody} set mqtt.username and mqtt.password"
    assert warnings("mqtt: {embedded: true}\nbridges: [{host: a}]") == (trying_out, said)
