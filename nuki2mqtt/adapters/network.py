"""Every way out of a service, as ports, and those of this computer.

A simulation gives other ones and runs the same service in virtual time.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from nuki2mqtt.adapters.bridge_finder import BridgeFinder
from nuki2mqtt.adapters.bridge_http import BridgeHttp
from nuki2mqtt.adapters.callback_server import CallbackServer
from nuki2mqtt.adapters.clock import Clock, Entropy
from nuki2mqtt.adapters.mqtt_link import Emit, MqttLink
from nuki2mqtt.adapters.nuki_web import NukiWeb
from nuki2mqtt.adapters.webhook_server import WebhookServer
from nuki2mqtt.gateway.vocabulary import (
    BridgesFound,
    CallbackPath,
    CallbackReceived,
    ConnectMqtt,
    FindBridges,
    Publish,
    WebhookReceived,
)
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_api import Answer, BridgeRequest
from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.protocol.settings_words import SenderCheck
from nuki2mqtt.protocol.web_api import WebAnswer, WebRequest


class MqttPort(Protocol):
    """The link to the broker, as `adapters.mqtt_link` has it."""

    @property
    def last_activity(self) -> float:
        """`loop.time()` of the last sign that it is at work."""
        ...

    def connect(self, order: ConnectMqtt) -> None:
        """Be connected like this from now on."""
        ...

    def publish(self, order: Publish) -> None:
        """Send it now, or never."""
        ...

    async def close(self, timeout_s: float) -> None:
        """Leave with a DISCONNECT."""
        ...

    async def run(self) -> None:
        """Work until cancelled."""
        ...


class HttpPort(AbstractAsyncContextManager["HttpPort"], Protocol):
    """The way to Bridges, as `adapters.bridge_http` has it."""

    async def send(
        self,
        host: str,
        port: int,
        request: BridgeRequest,
        auth_params: Mapping[str, str],
        *,
        connect_within_s: float | None = None,
    ) -> tuple[Answer, str | None]:
        """The answer, and our own address on that connection; raises BridgeError."""
        ...


class DoorPort(AbstractAsyncContextManager["DoorPort"], Protocol):
    """Where Bridges knock, as `adapters.callback_server` has it."""

    async def open(self, bind: str, port: int, paths: tuple[CallbackPath, ...], sender: SenderCheck) -> int:
        """Listen, and say the port; raises CallbackDoorError."""
        ...


class WebPort(AbstractAsyncContextManager["WebPort"], Protocol):
    """The way to Nuki's cloud, as `adapters.nuki_web` has it."""

    async def send(self, request: WebRequest, token: Secret, *, connect_within_s: float | None = None) -> WebAnswer:
        """The answer; raises WebError."""
        ...


class WebhookDoorPort(AbstractAsyncContextManager["WebhookDoorPort"], Protocol):
    """Where Nuki's cloud knocks, as `adapters.webhook_server` has it."""

    async def open(self, host: str, port: int, path: str, secret: Secret) -> int:
        """Listen, and say the port; raises WebhookDoorError."""
        ...


class FinderPort(Protocol):
    """Who searches for Bridges, as `adapters.bridge_finder` does."""

    async def find(self, order: FindBridges) -> BridgesFound:
        """What was found; never raises for what the network does."""
        ...


class Network(Protocol):
    """Every way out of this process, made once per service."""

    def mqtt(self, emit: Emit) -> MqttPort:
        """The link to the broker; what it hears goes to `emit`."""
        ...

    def http(self) -> HttpPort:
        """The way to Bridges."""
        ...

    def door(self, accept: Callable[[CallbackReceived], bool]) -> DoorPort:
        """Where Bridges knock; `accept` says whether there is room for it."""
        ...

    def finder(self) -> FinderPort:
        """Who searches for Bridges."""
        ...

    def web(self) -> WebPort:
        """The way to Nuki's cloud."""
        ...

    def webhook_door(self, accept: Callable[[WebhookReceived], bool]) -> WebhookDoorPort:
        """Where Nuki's cloud knocks; `accept` says whether there is room for it."""
        ...


class SystemNetwork:
    """The network of this computer."""

    def __init__(self, settings: Settings, client_id: str, *, clock: Clock, entropy: Entropy) -> None:
        self._settings = settings
        self._client_id = client_id
        self._clock = clock
        self._entropy = entropy

    def mqtt(self, emit: Emit) -> MqttPort:
        """The link to the broker of the settings."""
        return MqttLink(self._settings.mqtt, self._client_id, emit=emit, jitter=self._entropy.fraction)

    def http(self) -> HttpPort:
        """HTTP over TCP."""
        return BridgeHttp()

    def door(self, accept: Callable[[CallbackReceived], bool]) -> DoorPort:
        """An HTTP server."""
        return CallbackServer(accept, clock=self._clock)

    def finder(self) -> FinderPort:
        """mDNS, host names and Nuki's list, as the settings permit."""
        return BridgeFinder(self._settings.find, self._settings.nuki_web.base_url)

    def web(self) -> WebPort:
        """HTTPS to the address of the settings."""
        return NukiWeb(self._settings.nuki_web.base_url, clock=self._clock)

    def webhook_door(self, accept: Callable[[WebhookReceived], bool]) -> WebhookDoorPort:
        """An HTTP server."""
        return WebhookServer(accept, clock=self._clock)
