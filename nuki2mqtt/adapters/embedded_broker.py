"""An MQTT 3.1.1 broker in this process, on this machine only: for the demo, and for those who have none.

It keeps nothing when it ends: every client says again what shall be retained. amqtt, an optional part of the
installation, is loaded when the broker starts.
"""

import asyncio
import errno
import ipaddress
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from nuki2mqtt.errors import EmbeddedBrokerError
from nuki2mqtt.protocol.settings import MqttSettings
from nuki2mqtt.protocol.settings_words import MqttProtocol

if TYPE_CHECKING:
    from nuki2mqtt.adapters.amqtt_broker import MendedBroker

LOOPBACK = "127.0.0.1"
INSTALL = "pip install 'nuki2mqtt[embedded]'"
STOP_S = 5.0
# amqtt warns of every client that leaves, and prints traces of what is dealt with here.
NOISY = ("amqtt", "transitions")


def reach_embedded(mqtt: MqttSettings) -> MqttSettings:
    """The settings with which the embedded broker is reached, if there shall be one; else as they are."""
    return replace(mqtt, host=LOOPBACK, protocol=MqttProtocol.V311) if mqtt.embedded else mqtt


def login_of(mqtt: MqttSettings) -> tuple[str, str] | None:
    """Whom the embedded broker lets in: everybody on this machine, unless a user is set."""
    if mqtt.username is None:
        return None
    return mqtt.username, "" if mqtt.password is None else mqtt.password.reveal()


class EmbeddedBroker:
    """`async with EmbeddedBroker(port=1883) as broker:` serves on `broker.host` and `broker.port`.

    With port 0 the system chooses one. With a `login` (user and password) only that user is let in. Entering raises
    EmbeddedBrokerError; ValueError if `host` is not a loopback address.
    """

    def __init__(self, host: str = LOOPBACK, port: int = 0, *, login: tuple[str, str] | None = None) -> None:
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"{host} is not a loopback address")
        self.host = host
        self.port = port
        self._login = login
        self._broker: MendedBroker | None = None
        self._quiet = ExitStack()

    async def __aenter__(self) -> Self:
        self._quiet.enter_context(_silenced(NOISY))
        try:
            self._broker = await self._start()
        except BaseException:
            self._quiet.close()
            raise
        self.port = self._broker.port
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._quiet:
            broker, self._broker = self._broker, None
            if broker is not None:
                async with asyncio.timeout(STOP_S):
                    await broker.stop()

    async def _start(self) -> "MendedBroker":
        try:
            from amqtt.contexts import BrokerConfig, ListenerConfig  # noqa: PLC0415 - an optional part
            from amqtt.errors import BrokerError  # noqa: PLC0415 - an optional part

            from nuki2mqtt.adapters.amqtt_broker import MendedBroker  # noqa: PLC0415 - an optional part
        except ImportError as missing:
            raise EmbeddedBrokerError(f"the embedded broker needs amqtt: {INSTALL}") from missing
        bind = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        config = BrokerConfig(listeners={"default": ListenerConfig(bind=bind)}, plugins={})
        broker = MendedBroker(config, self._login)
        try:
            await broker.start()
        except BrokerError as refusal:
            raise EmbeddedBrokerError(self._explain(refusal.__cause__)) from refusal
        return broker

    def _explain(self, cause: BaseException | None) -> str:
        there = f"{self.host}:{self.port}"
        if isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE:
            return f"something listens at {there} already, perhaps another broker: choose another port"
        if isinstance(cause, OSError) and cause.errno == errno.EACCES:
            return f"this user may not listen at {there}: choose a port from 1024 on"
        return f"the embedded broker cannot listen at {there}: {cause}"


@contextmanager
def _silenced(names: tuple[str, ...]) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
