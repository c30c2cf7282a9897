"""The embedded broker: what amqtt 0.12.1 gets wrong and it must not, measured with raw sockets and with paho."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from nuki2mqtt.adapters import amqtt_broker, amqtt_connection
from nuki2mqtt.adapters.embedded_broker import LOOPBACK, EmbeddedBroker, login_of, reach_embedded
from nuki2mqtt.adapters.mqtt_link import MqttEvent, MqttLink
from nuki2mqtt.errors import EmbeddedBrokerError
from nuki2mqtt.gateway.vocabulary import ConnectMqtt, MqttConnected
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.settings import MqttSettings
from nuki2mqtt.protocol.settings_words import MqttProtocol
from tests.adapters.brokers import Heard, Listener, Reachable, listener

WAIT_S = 10.0
ACCEPTED = b"\x20\x02\x00\x00"
GOODBYE = b"\xe0\x00"


class Embedded(EmbeddedBroker):
    """With what the listener of the tests wants to know."""

    protocol = MqttProtocol.V311


@pytest.fixture
async def broker() -> AsyncIterator[Embedded]:
    async with Embedded() as one:
        yield one


@pytest.fixture(autouse=True)
def _no_noise(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Neither amqtt nor asyncio's complaints of lost exceptions may reach a terminal."""
    caplog.set_level(logging.INFO)
    yield
    heard = [
        record for record in caplog.records if record.name.partition(".")[0] in {"amqtt", "asyncio", "transitions"}
    ]
    assert heard == []


# --- A client that says exactly what it is told ---------------------------------------------------------------------


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return len(raw).to_bytes(2, "big") + raw


def packet(kind: int, body: bytes) -> bytes:
    length, head = len(body), b""
    while length >= 0x80:
        head, length = head + bytes((length & 0x7F | 0x80,)), length >> 7
    return bytes((kind,)) + head + bytes((length,)) + body


def connect(
    client_id: str, *, keep_alive: int = 0, clean: bool = True, will: str = "", login: tuple[str, str] | None = None
) -> bytes:
    """A CONNECT of MQTT 3.1.1; the will is retained and says `gone`."""
    flags = (0x02 if clean else 0) | (0x24 if will else 0) | (0xC0 if login else 0)
    body = text("MQTT") + bytes((4, flags)) + keep_alive.to_bytes(2, "big") + text(client_id)
    for part in ((will, "gone") if will else ()) + (login or ()):
        body += text(part)
    return packet(0x10, body)


def publish(topic: str, payload: bytes) -> bytes:
    return packet(0x30, text(topic) + payload)


def subscribe(topic_filter: str, qos: int = 0) -> bytes:
    return packet(0x82, b"\x00\x01" + text(topic_filter) + bytes((qos,)))


class RawClient:
    """A socket."""

    def __init__(self, broker: Reachable) -> None:
        self._broker = broker

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(self._broker.host, self._broker.port)
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.writer.transport.abort()

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def hear(self, count: int) -> bytes:
        async with asyncio.timeout(WAIT_S):
            return await self.reader.readexactly(count)

    async def enter(self, client_id: str, **options: object) -> None:
        await self.say(connect(client_id, **options))  # type: ignore[arg-type]
        assert await self.hear(4) == ACCEPTED

    async def rest(self) -> bytes:
        """All that comes until the broker closes."""
        async with asyncio.timeout(WAIT_S):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""


@asynccontextmanager
async def watched(broker: Reachable, *filters: str) -> AsyncIterator[Listener]:
    async with listener(broker, *(filters or ("#",))) as ear:
        yield ear


def anything(_: Heard) -> bool:
    return True


async def none_but(ear: Listener, *payloads: bytes, topic: str = "t") -> None:
    """These payloads and no others were heard there."""
    await ear.publish("barrier", b"", qos=1)
    await ear.wait_for(lambda heard: heard.topic == "barrier")
    assert ear.payloads(topic) == list(payloads)


# --- Retained messages ------------------------------------------------------------------------------------------------


async def test_retained_messages_go_to_those_who_subscribe_only(broker: Embedded) -> None:
    async with watched(broker) as first, watched(broker, "other") as second:
        await first.publish("t", b"kept", retain=True)
        await first.wait_for(lambda heard: heard.topic == "t")
        async with watched(broker, "other") as third, watched(broker, "t") as fourth:
            heard = await fourth.wait_for(lambda heard: heard.topic == "t")
            assert (heard.payload, heard.retain, heard.qos) == (b"kept", True, 1)
            await first.publish("other", b"now")
            for ear in (first, second, third):
                await ear.wait_for(lambda heard: heard.topic == "other")
            for ear in (second, third):
                assert ear.topics == ["other"]
            assert [heard.retain for heard in first.heard] == [False, False]


async def test_retained_messages_are_replaced_and_cleared(broker: Embedded) -> None:
    async with watched(broker) as first:
        await first.publish("t", b"1", retain=True)
        await first.publish("t", b"2", retain=True)
        async with watched(broker, "t") as late:
            assert (await late.wait_for(anything)).payload == b"2"
        await first.publish("t", b"", retain=True)
        async with watched(broker) as late:
            await none_but(late)


async def test_who_subscribes_to_thousands_of_retained_messages_gets_them_all(broker: Embedded) -> None:
    count = 3000
    async with RawClient(broker) as speaker:
        await speaker.enter("speaker")
        await speaker.say(b"".join(b"\x31" + publish(f"many/{number}", b"kept")[1:] for number in range(count)))
        await speaker.say(b"\xc0\x00")
        assert await speaker.hear(2) == b"\xd0\x00"
        # The broker may still be at work for others: what it says live and kept comes twice then.
        async with watched(broker, "many/#") as ear:
            await ear.wait_until(lambda: len(set(ear.topics)) >= count)
            assert set(ear.topics) == {f"many/{number}" for number in range(count)}


async def test_only_so_many_topics_are_kept(broker: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amqtt_broker, "MOST_RETAINED", 2)
    async with watched(broker) as first:
        for topic in ("a", "b", "c", "a"):
            await first.publish(topic, b"kept", retain=True)
        await first.wait_until(lambda: len(first.heard) == 4)
        async with watched(broker) as late:
            await late.publish("barrier", b"")
            await late.wait_for(lambda heard: heard.topic == "barrier")
            assert sorted(late.topics) == ["a", "b", "barrier"]


# --- Clients that fall silent -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "last", [b"", publish("t", b"never whole")[:-4], b"\x30"], ids=["idle", "in a packet", "in a head"]
)
async def test_a_silent_client_is_ended_and_its_will_said(broker: Embedded, last: bytes) -> None:
    async with watched(broker) as ear, RawClient(broker) as silent:
        await silent.enter("silent", keep_alive=1, will="t")
        await silent.say(last)
        begun = asyncio.get_running_loop().time()
        assert await silent.rest() == b""
        assert 1.4 < asyncio.get_running_loop().time() - begun < 5
        await ear.wait_for(lambda heard: heard.payload == b"gone")
        async with watched(broker, "t") as late:
            assert (await late.wait_for(anything)).retain


async def test_a_client_that_pings_stays(broker: Embedded) -> None:
    async with watched(broker) as ear, RawClient(broker) as alive, RawClient(broker) as silent:
        await silent.enter("silent", keep_alive=1, will="t")
        await alive.enter("alive", keep_alive=1)
        begun = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() - begun < 2:
            await alive.say(b"\xc0\x00")
            assert await alive.hear(2) == b"\xd0\x00"
            await asyncio.sleep(0.2)
        await ear.wait_for(lambda heard: heard.payload == b"gone")
        await alive.say(publish("t", b"here"))
        await ear.wait_for(lambda heard: heard.payload == b"here")


async def test_who_never_says_connect_is_ended(broker: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amqtt_broker, "CONNECT_S", 0.1)
    for beginning in (b"", b"\x10", connect("half")[:-2]):
        async with RawClient(broker) as client:
            await client.say(beginning)
            assert await client.rest() == b""


# --- Take-over --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clean", [True, False])
async def test_a_newcomer_with_the_same_id_takes_over(broker: Embedded, clean: bool) -> None:  # noqa: FBT001
    async with watched(broker) as ear, RawClient(broker) as old, RawClient(broker) as new:
        await old.enter("same", clean=clean, will="t")
        await old.say(subscribe("s"))
        await old.hear(5)
        await new.enter("same", clean=clean)  # which says that there is no former session
        await new.say(publish("t", b"back"))
        assert await old.rest() == b""
        await ear.wait_for(lambda heard: heard.payload == b"back")
        assert ear.payloads("t") == [b"gone", b"back"], "the will of the old comes before the words of the new"
        await new.say(subscribe("t"))
        kept = publish("t", b"gone")
        assert await new.hear(5 + len(kept)) == packet(0x90, b"\x00\x01\x00") + b"\x31" + kept[1:]
        await ear.publish("s", b"for the old one")
        await ear.publish("t", b"for the new one")
        assert await new.hear(len(publish("t", b"for the new one"))) == publish("t", b"for the new one")


async def test_of_many_newcomers_one_stays(broker: Embedded) -> None:
    async def enter(_: int) -> RawClient:
        client = await RawClient(broker).__aenter__()
        await client.say(connect("same"))
        return client

    clients = [await enter(number) for number in range(5)]
    answers = [asyncio.create_task(client.rest()) for client in clients]
    try:
        async with asyncio.timeout(WAIT_S):
            while len(waiting := [task for task in answers if not task.done()]) > 1:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        [winner] = [client for client, task in zip(clients, answers, strict=True) if not task.done()]
        await winner.say(GOODBYE)
        await asyncio.gather(*answers)
    finally:
        for client in clients:
            client.writer.transport.abort()


# --- MQTT 5 -----------------------------------------------------------------------------------------------------------

V5 = {
    "plain": text("MQTT") + b"\x05\x02\x00\x3c\x00" + text("five"),
    "properties": text("MQTT") + b"\x05\x02\x00\x3c\x05\x11\x00\x00\xff\xff" + text("five"),
    "login": text("MQTT") + b"\x05\xc2\x00\x3c\x00" + text("five") + text("u") + text("p"),
    "will": text("MQTT") + b"\x05\x06\x00\x3c\x00" + text("five") + b"\x00" + text("t") + text("gone"),
    "no id": text("MQTT") + b"\x05\x02\x00\x3c\x00" + text(""),
    "3.1": text("MQIsdp") + b"\x03\x02\x00\x3c" + text("three"),
}


@pytest.mark.parametrize("body", V5.values(), ids=V5.keys())
async def test_other_versions_are_refused_at_once(broker: Embedded, body: bytes) -> None:
    async with RawClient(broker) as client:
        await client.say(packet(0x10, body))
        async with asyncio.timeout(1):
            assert await client.reader.read() == b"\x20\x02\x00\x01"


@pytest.mark.parametrize("login", [None, ("somebody", "hush")])
async def test_our_own_link_falls_back_at_once(login: tuple[str, str] | None) -> None:
    async with Embedded(login=login) as broker:
        user, password = login or (None, "")
        settings = MqttSettings(
            host=broker.host, port=broker.port, username=user, password=Secret(password) if user else None
        )
        events: asyncio.Queue[MqttEvent] = asyncio.Queue()
        link = MqttLink(settings, "linked", emit=events.put, jitter=lambda: 0.0)
        link.connect(ConnectMqtt(None, ()))
        running = asyncio.create_task(link.run())
        try:
            async with asyncio.timeout(3):
                assert await events.get() == MqttConnected("3.1.1")
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


# --- Too much, too large, against the rules ---------------------------------------------------------------------------


async def test_a_client_that_takes_nothing_is_dropped(broker: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amqtt_connection, "MOST_LEAVING", 20)
    async with watched(broker, "t") as ear, RawClient(broker) as slow:
        await slow.enter("slow", will="t")
        await slow.say(subscribe("large"))
        await slow.hear(5)
        async with asyncio.timeout(WAIT_S):
            while b"gone" not in ear.payloads("t"):
                await ear.publish("large", b"x" * 500_000)


async def test_an_acknowledgement_that_does_not_come_ends_the_connection(
    broker: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """amqtt forgets the message and goes on as if nothing were lost."""
    monkeypatch.setattr(amqtt_connection, "ACK_S", 0.2)
    async with watched(broker, "t") as ear, RawClient(broker) as deaf:
        await deaf.enter("deaf", will="t")
        await deaf.say(subscribe("s", qos=1))
        await deaf.hear(5)
        await ear.publish("s", b"1")
        assert (await deaf.rest())[:2] == b"\x32\x06"
        await ear.wait_for(lambda heard: heard.payload == b"gone")


@pytest.mark.parametrize(
    "words",
    [
        b"\x30\xff\xff\x7f" + text("t") + b"x" * 100,  # 2 MiB announced
        publish("t/#", b"wildcard"),
        publish("$SYS/x", b"reserved"),
        publish("", b"no topic"),
        b"\xf0\x00",
        b"\x30\xff\xff\xff\xff\xff",
        connect("again"),
    ],
    ids=["too large", "wildcard", "reserved topic", "no topic", "reserved packet", "no length", "second connect"],
)
async def test_who_breaks_the_rules_is_ended_and_its_will_said(broker: Embedded, words: bytes) -> None:
    async with watched(broker) as ear, RawClient(broker) as client:
        await client.enter("rude", will="t")
        await client.say(words)
        assert await client.rest() == b""
        await ear.wait_for(lambda heard: heard.payload == b"gone")
        assert ear.payloads("t") == [b"gone"]


@pytest.mark.parametrize(
    "words",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\x10\xff\xff\xff\xff\x01",
        b"\x10\x00",
        packet(0x10, text("MQTT") + b"\x04\x06\x00\x00" + text("x") + b"\xff\xff"),
        packet(0x10, text("MQTT") + b"\x04\xc2\x00\x00" + text("x") + b"\xff\xffab"),
        packet(0x10, text("MQTT") + b"\x04\x03\x00\x00" + text("x")),
        publish("t", b"before CONNECT"),
    ],
)
async def test_nonsense_hurts_nobody(broker: Embedded, words: bytes) -> None:
    async with watched(broker) as ear:
        async with RawClient(broker) as client:
            await client.say(words)
            assert await client.rest() in {b"", b"\x20\x02\x00\x04"}
        await ear.publish("t", b"still here")
        await ear.wait_for(lambda heard: heard.payload == b"still here")
        assert ear.payloads("t") == [b"still here"]


# --- The end of a client ----------------------------------------------------------------------------------------------


async def test_what_was_said_before_a_goodbye_goes_out_in_order_and_no_will(broker: Embedded) -> None:
    many = [b"%d" % number for number in range(50)]
    async with watched(broker) as ear, RawClient(broker) as client:
        await client.enter("brief", will="t")
        await client.say(b"".join(publish("t", each) for each in many) + GOODBYE)
        client.writer.write_eof()
        assert await client.rest() == b""
        await ear.wait_until(lambda: len(ear.payloads("t")) >= len(many))
        await none_but(ear, *many)


async def test_connect_and_goodbye_in_one_breath(broker: Embedded) -> None:
    async with watched(broker) as ear:
        for words in (GOODBYE, publish("t", b"1") + GOODBYE):
            async with RawClient(broker) as client:
                await client.say(connect("brief", will="t") + words)
                assert await client.rest() == ACCEPTED
        await ear.wait_for(lambda heard: heard.payload == b"1")
        async with RawClient(broker) as client:
            await client.say(connect("brief", will="t"))
            client.writer.write_eof()
            assert await client.rest() == ACCEPTED
        await ear.wait_for(lambda heard: heard.payload == b"gone")
        assert ear.payloads("t") == [b"1", b"gone"]


async def test_what_was_said_before_a_broken_line_goes_out_before_the_will(broker: Embedded) -> None:
    many = [b"%d" % number for number in range(50)]
    async with watched(broker) as ear, RawClient(broker) as client:
        await client.enter("brief", will="t")
        await client.say(b"".join(publish("t", each) for each in many))
        client.writer.write_eof()
        await ear.wait_for(lambda heard: heard.payload == b"gone")
        assert ear.payloads("t") == [*many, b"gone"]


# --- Who is let in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", [None, ("somebody", "wrong"), ("else", "hush"), ("somebody", "")])
async def test_with_a_login_nobody_else_is_let_in(login: tuple[str, str] | None) -> None:
    async with Embedded(login=("somebody", "hush")) as broker, RawClient(broker) as owner:
        await owner.enter("same", login=("somebody", "hush"))
        await owner.say(subscribe("t"))
        await owner.hear(5)
        async with RawClient(broker) as stranger:
            await stranger.say(connect("same", will="t", login=login))
            assert await stranger.rest() == b"\x20\x02\x00\x05"
        await owner.say(publish("t", b"undisturbed"))
        assert await owner.hear(len(publish("t", b"undisturbed"))) == publish("t", b"undisturbed")


def test_the_login_is_that_of_the_settings() -> None:
    assert login_of(MqttSettings()) is None
    assert login_of(MqttSettings(username="u")) == ("u", "")
    assert login_of(MqttSettings(username="u", password=Secret("p"))) == ("u", "p")


def test_how_it_is_reached() -> None:
    own = MqttSettings(host="192.0.2.2", port=1)
    assert reach_embedded(own) == own
    settings = MqttSettings(embedded=True, port=1884, base_topic="b")
    reached = reach_embedded(settings)
    assert (reached.host, reached.port, reached.protocol, reached.base_topic) == (LOOPBACK, 1884, "3.1.1", "b")


# --- Start and end of the broker --------------------------------------------------------------------------------------


async def test_nothing_is_left_when_it_ends() -> None:
    before = asyncio.all_tasks()
    async with Embedded() as broker:
        taken = [await RawClient(broker).__aenter__() for _ in range(3)]
        await taken[0].enter("one", will="t")
        await taken[1].say(b"\x10")
        begun = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - begun < 1
    for client in taken:
        assert await client.rest() == b""
        client.writer.transport.abort()
    assert asyncio.all_tasks() == before


async def test_it_listens_on_this_machine_only(broker: Embedded) -> None:
    assert broker.host == "127.0.0.1"
    for host in ("0.0.0.0", "192.0.2.1", "::"):
        with pytest.raises(ValueError, match="not a loopback address"):
            EmbeddedBroker(host)


async def test_it_can_begin_again_at_the_same_port_and_keeps_nothing() -> None:
    async with Embedded() as one:
        async with watched(one) as ear:
            await ear.publish("t", b"kept", retain=True)
        port = one.port
    async with Embedded(port=port) as again, watched(again) as ear:
        assert again.port == port
        await none_but(ear)


async def test_a_busy_port_says_what_to_do(broker: Embedded) -> None:
    with pytest.raises(EmbeddedBrokerError, match=rf"something listens at 127.0.0.1:{broker.port} .* another port"):
        await EmbeddedBroker(port=broker.port).__aenter__()


async def test_without_amqtt_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "nuki2mqtt.adapters.amqtt_broker")
    monkeypatch.setitem(sys.modules, "amqtt.contexts", None)
    with pytest.raises(EmbeddedBrokerError, match=r"needs amqtt: pip install 'nuki2mqtt\[embedded\]'"):
        await EmbeddedBroker().__aenter__()


async def test_messages_of_every_quality_and_size_arrive(broker: Embedded) -> None:
    async with listener(broker, "#", protocol=MQTTProtocolVersion.MQTTv311) as ear:
        large = bytes(range(256)) * 1000
        for qos in (0, 1, 2):
            await ear.publish(f"töpic/{qos}", large, qos=qos)
        await ear.wait_until(lambda: len(ear.heard) == 3)
        assert {heard.payload for heard in ear.heard} == {large}
