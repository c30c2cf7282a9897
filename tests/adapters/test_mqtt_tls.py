"""TLS towards the broker: what is verified, and what is said when it fails."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from nuki2mqtt.gateway.vocabulary import MqttLost, MqttPublished
from nuki2mqtt.protocol.settings import TlsSettings
from tests.adapters.broken_brokers import silent_server
from tests.adapters.brokers import Tls, mosquitto, needs_mosquitto
from tests.adapters.certificates import Authority, needs_openssl
from tests.adapters.linked import IMPATIENT, linked

pytestmark = [needs_mosquitto, needs_openssl]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "authority")


def trusting(authority: Authority, **how: Any) -> TlsSettings:
    return TlsSettings(enabled=True, ca=str(authority.ca), **how)


async def reason_of(tls: Tls, settings: TlsSettings, **how: Any) -> str:
    async with mosquitto(tls=tls) as broker, linked(broker, tls=settings, timing=IMPATIENT, **how) as one:
        return (await one.inbox.wait_for(MqttLost)).reason


async def test_a_known_authority_and_the_right_name_are_accepted(authority: Authority) -> None:
    tls = authority.issue("good")
    async with mosquitto(tls=tls) as broker, linked(broker, tls=trusting(authority)) as one:
        assert await one.ready() == "5"
        for _ in range(100):
            one.publish("base/front_door", bytes(20_000))
        await one.inbox.wait_for(MqttPublished, 100)
        await one.link.close(5.0)
        assert not one.reasons


async def test_an_unknown_authority_is_refused_unless_nothing_is_verified(authority: Authority, tmp_path: Path) -> None:
    tls = Authority(tmp_path, "other").issue("other-broker", "DNS:elsewhere")
    assert "mqtt.tls.ca" in await reason_of(tls, trusting(authority))
    assert "mqtt.tls.ca" in await reason_of(tls, TlsSettings(enabled=True))
    settings = TlsSettings(enabled=True, verify=False)
    async with mosquitto(tls=tls) as broker, linked(broker, tls=settings) as one:
        assert await one.ready() == "5"


async def test_a_wrong_name_and_an_expired_certificate_are_told_apart(authority: Authority) -> None:
    assert "is not for '127.0.0.1'" in await reason_of(authority.issue("name", "DNS:elsewhere"), trusting(authority))
    assert "has expired" in await reason_of(authority.issue("old", days=-1), trusting(authority))


async def test_a_missing_client_certificate_is_named_and_given_it_works(authority: Authority) -> None:
    tls = authority.issue("strict", ask_client=True)
    reason = await reason_of(tls, trusting(authority))
    assert "mqtt.tls.cert" in reason
    client = authority.issue("client")
    settings = trusting(authority, cert=str(client.cert), key=str(client.key))
    async with mosquitto(tls=tls) as broker, linked(broker, tls=settings) as one:
        assert await one.ready() == "5"


async def test_unusable_files_are_named(authority: Authority, tmp_path: Path) -> None:
    tls = authority.issue("files")
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    absent = str(tmp_path / "absent.pem")
    for settings, name in (
        (TlsSettings(enabled=True, ca=absent), "mqtt.tls.ca"),
        (TlsSettings(enabled=True, ca=str(empty)), "mqtt.tls.ca"),
        (trusting(authority, cert=absent), "mqtt.tls.cert"),
        (trusting(authority, cert=str(tls.cert), key=absent), "mqtt.tls.key"),
        (trusting(authority, cert=str(empty), key=str(tls.key)), "mqtt.tls.cert"),
    ):
        assert (await reason_of(tls, settings)).startswith(f"{name}: ")


async def test_tls_to_a_port_without_and_the_reverse(authority: Authority) -> None:
    async with mosquitto() as broker, linked(broker, tls=trusting(authority), timing=IMPATIENT) as one:
        assert "TLS" in (await one.inbox.wait_for(MqttLost)).reason
    assert "mqtt.tls.enabled" in await reason_of(authority.issue("reverse"), TlsSettings())


async def test_a_handshake_that_hangs_does_not_block_the_loop(authority: Authority) -> None:
    async with silent_server() as silent, linked(silent, tls=trusting(authority)) as one, asyncio.timeout(2):
        await silent.accepted.wait()  # by this very loop, while a thread waits for the handshake
        await one.crash()
    assert not one.inbox.events
