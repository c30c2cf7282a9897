"""The stories of the broker in memory, against mosquitto: what they say of it is true."""

import asyncio
import json
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.adapters.mosquitto import Mosquitto, mosquitto, needs_mosquitto
from tests.storm.broker import Filter, Packet
from tests.storm.broker_stories import STORIES, Client, Setting, Stage, Story

pytestmark = needs_mosquitto

WAIT_S = 10.0
TICK_S = 0.01  # how late the end of a time is noticed
PROTOCOLS = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}


class RealClient:
    """A paho client without a thread: it reads and writes only while its stage waits for something."""

    expiry_slack_s = 3  # mosquitto counts whole seconds, and a restart takes a while

    def __init__(self, stage: "RealStage", name: str, *, protocol: str, clean: bool, manual_ack: bool) -> None:
        self.is_v5 = protocol == "5"
        self.is_open = False
        self.is_stalled = False
        self.session_present = False
        self.heard: list[Packet] = []
        self.paho = paho.Client(
            CallbackAPIVersion.VERSION2,
            name,
            protocol=PROTOCOLS[protocol],
            clean_session=None if self.is_v5 else clean,
            reconnect_on_failure=False,
            manual_ack=manual_ack,
        )
        self._stage = stage
        self._clean = clean
        self._answers: dict[int, tuple[int, ...]] = {}
        self._mids: list[tuple[Packet, int]] = []
        self.paho.on_connect = self._on_connect
        self.paho.on_disconnect = self._on_disconnect
        self.paho.on_message = self._on_message
        self.paho.on_publish = lambda _c, _u, mid, code, _p: self._answer(mid, [code])
        self.paho.on_subscribe = lambda _c, _u, mid, codes, _p: self._answer(mid, codes)
        self.paho.on_unsubscribe = lambda _c, _u, mid, codes, _p: self._answer(mid, codes)

    # --- what stories do ---

    def open(self, port: int, will: Packet | None, session_expiry_s: int, keepalive_s: int) -> None:
        if will is not None:
            packed = self._properties(will, PacketTypes.WILLMESSAGE)
            self.paho.will_set(will.topic, will.payload, will.qos, will.retain, packed)
        properties = None
        if self.is_v5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = session_expiry_s
            self.paho.connect("127.0.0.1", port, keepalive_s, clean_start=self._clean, properties=properties)
        else:
            self.paho.connect("127.0.0.1", port, keepalive_s)
        raw = self.paho.socket()
        assert isinstance(raw, socket.socket)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # otherwise each answer takes 40 ms
        self._stage.until(lambda: self.is_open)

    def subscribe(self, *filters: Filter) -> tuple[int, ...]:
        # paho would refuse a filter that is none, and so it is written by the function below its check.
        wanted = [(one.topic_filter.encode(), self._options(one) if self.is_v5 else one.qos) for one in filters]
        _, mid = self.paho._send_subscribe(False, wanted)
        return self._await(mid) or ()

    def unsubscribe(self, *topic_filters: str) -> None:
        _, mid = self.paho.unsubscribe(list(topic_filters))
        assert mid is not None
        self._await(mid)

    def publish(self, packet: Packet) -> int | None:
        properties = self._properties(packet, PacketTypes.PUBLISH)
        if set(packet.topic) & {"+", "#"}:  # paho would refuse it
            mid = self.paho._mid_generate()
            topic = packet.topic.encode()
            self.paho._send_publish(mid, topic, packet.payload, packet.qos, packet.retain, properties=properties)
        else:
            mid = self.paho.publish(packet.topic, packet.payload, packet.qos, packet.retain, properties).mid
        codes = self._await(mid)
        if packet.qos == 0 or codes is None:
            self.barrier()
            return None
        return codes[0]

    def acknowledge(self, packet: Packet) -> None:
        found = next(pair for pair in self._mids if pair[0] == packet)
        self._mids.remove(found)
        self.paho.ack(found[1], packet.qos)
        self.barrier()

    def disconnect(self) -> None:
        self.paho.disconnect()
        self._close()

    def drop(self) -> None:
        self._close()

    def stall(self) -> None:
        self.is_stalled = True

    def resume(self) -> None:
        self.is_stalled = False

    def take_heard(self) -> list[Packet]:
        heard, self.heard = self.heard, []
        return heard

    # --- how ---

    def barrier(self) -> None:
        """Until the broker has done what this client said, and this client got what the broker wrote before."""
        if self.is_open:
            self.unsubscribe("barrier")

    def _close(self) -> None:
        self.is_open = False
        self.paho._reset_sockets()
        self._stage.settle()

    def _await(self, mid: int) -> tuple[int, ...] | None:
        """The reason codes of an answer; None if the broker hung up."""
        self._stage.until(lambda: mid in self._answers or not self.is_open)
        return self._answers.pop(mid, None)

    def _answer(self, mid: int, codes: list[ReasonCode]) -> None:
        self._answers[mid] = tuple(code.value for code in codes)

    def _on_connect(self, _c: paho.Client, _u: Any, flags: paho.ConnectFlags, code: ReasonCode, _p: Any) -> None:
        assert not code.is_failure
        self.session_present = flags.session_present
        self.is_open = True

    def _on_disconnect(self, *_arguments: Any) -> None:
        self.is_open = False

    def _on_message(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        properties = message.properties
        packet = Packet(
            message.topic,
            bytes(message.payload),
            message.qos,
            bool(message.retain),
            bool(message.dup),
            getattr(properties, "ResponseTopic", None),
            getattr(properties, "CorrelationData", None),
            getattr(properties, "MessageExpiryInterval", None),
        )
        self.heard.append(packet)
        self._mids.append((packet, message.mid))

    @staticmethod
    def _options(one: Filter) -> SubscribeOptions:
        return SubscribeOptions(one.qos, one.no_local, one.retain_as_published, one.retain_handling)

    def _properties(self, packet: Packet, kind: int) -> Properties | None:
        if not self.is_v5:
            return None
        packed = Properties(kind)  # type: ignore[no-untyped-call]
        if packet.response_topic is not None:
            packed.ResponseTopic = packet.response_topic
        if packet.correlation is not None:
            packed.CorrelationData = packet.correlation
        if packet.expiry_s is not None:
            packed.MessageExpiryInterval = packet.expiry_s
        return packed


class RealStage(Stage):
    """Runs in a thread beside the loop that reads mosquitto's log."""

    def __init__(self, broker: Mosquitto, loop: asyncio.AbstractEventLoop) -> None:
        self._broker = broker
        self._loop = loop
        self._clients: list[RealClient] = []
        self._witness = self.connect("witness")  # its barriers show that the broker saw what others did before

    def connect(
        self,
        name: str,
        *filters: Filter,
        protocol: str = "5",
        clean: bool = True,
        session_expiry_s: int = 0,
        will: Packet | None = None,
        keepalive_s: int | None = None,
        manual_ack: bool = False,
    ) -> RealClient:
        client = RealClient(self, name, protocol=protocol, clean=clean, manual_ack=manual_ack)
        self._clients.append(client)
        client.open(self._broker.port, will, session_expiry_s, keepalive_s or 60)
        if filters:
            client.subscribe(*filters)
        return client

    def wait(self, seconds: float, until_heard: Client | None = None) -> None:
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() >= end or (until_heard is not None and until_heard.heard != []))

    def settle(self) -> None:
        """Two rounds: what a client did is seen at the latest in the round of the broker's loop after it."""
        count = -1
        while count != (count := sum(len(client.heard) for client in self._clients)):
            for _ in range(2):
                for client in self._listening():
                    client.barrier()

    def restart(self, *, says_wills: bool = False) -> None:
        self._do(self._broker.stop() if says_wills else self._broker.kill())
        self.until(lambda: not self._listening())
        self._do(self._broker.start())
        self._witness = self.connect("witness")

    def until(self, is_done: Callable[[], bool]) -> None:
        limit = time.monotonic() + WAIT_S
        while not is_done():
            assert time.monotonic() < limit
            pahos = [client.paho for client in self._clients if not client.is_stalled]
            open_ = {raw: each for each in pahos if (raw := each.socket()) is not None}
            readable, _, _ = select.select(list(open_), [], [], TICK_S)
            for each in readable:
                open_[each].loop_read()
            for client in open_.values():
                if client.want_write():
                    client.loop_write()
                client.loop_misc()

    def close(self) -> None:
        for client in self._clients:
            client.paho._reset_sockets()

    def _listening(self) -> list[RealClient]:
        return [client for client in self._clients if client.is_open and not client.is_stalled]

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)


def play(story: Story, broker: Mosquitto, loop: asyncio.AbstractEventLoop) -> None:
    stage = RealStage(broker, loop)
    try:
        story.play(stage)
    finally:
        stage.close()


def settings_of(setting: Setting, folder: Path) -> tuple[str, ...]:
    lines = [f"max_queued_messages {setting.max_queued}"]
    if setting.subscribable is not None:
        lines += [f"plugin {plugin()}", f"plugin_opt_config_file {rights(folder, setting.subscribable)}"]
    if setting.is_persistent:
        lines += ["autosave_on_changes true", "autosave_interval 1"]
    return tuple(lines)


def plugin() -> Path:
    """mosquitto's plugin that can forbid subscriptions, which its ACL file cannot."""
    found = next(Path("/usr").glob("lib*/**/mosquitto_dynamic_security.so"), None)
    return found or pytest.skip("mosquitto's plugin for dynamic security is not installed")


def rights(folder: Path, subscribable: str) -> Path:
    acls = [
        {"acltype": "subscribePattern", "topic": subscribable, "allow": True},
        {"acltype": "unsubscribePattern", "topic": "#", "allow": True},
    ]
    defaults = {"publishClientSend": True, "publishClientReceive": True, "subscribe": False, "unsubscribe": True}
    config = {
        "defaultACLAccess": defaults,
        "anonymousGroup": "all",
        "groups": [{"groupname": "all", "roles": [{"rolename": "all"}]}],
        "roles": [{"rolename": "all", "acls": acls}],
    }
    path = folder / "rights.json"
    path.write_text(json.dumps(config))
    return path


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
async def test_story(story: Story, tmp_path: Path) -> None:
    setting = story.setting
    lines = settings_of(setting, tmp_path)
    async with mosquitto(acl=setting.acl, persistence=setting.is_persistent, settings=lines) as broker:
        await asyncio.to_thread(play, story, broker, asyncio.get_running_loop())
