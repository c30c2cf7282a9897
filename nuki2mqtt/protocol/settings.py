# ruff: noqa: RUF009 - `setting` and `section` are dataclass fields with their description
"""The settings: frozen values, each key with its kind, default and description beside it.

`settings_reader.read_settings` makes them from a file, the environment and the command line; docs/settings.md
is rendered from them by `settings_reference`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

from nuki2mqtt.model.action import Action, actions_of
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.settings_kinds import Flag, HexId, Hidden, Seconds, Text, Whole, Word
from nuki2mqtt.protocol.settings_names import (
    check_base_topic,
    check_base_url,
    check_callback_host,
    check_device_topic,
    check_host,
    check_topic_path,
    check_webhook_path,
)
from nuki2mqtt.protocol.settings_permit import Permit
from nuki2mqtt.protocol.settings_shape import (
    Key,
    ListOf,
    Section,
    TableOf,
    keys_of,
    required,
    section,
    setting,
)
from nuki2mqtt.protocol.settings_versions import VERSION, Version
from nuki2mqtt.protocol.settings_words import (
    AuthSetting,
    CommandTs,
    DiscoveryForm,
    LogFormat,
    LogLevel,
    MqttProtocol,
    Output,
    Overlap,
    SenderCheck,
    TrustClock,
    WebCommands,
)

MQTT_PORT = 1883  # registered with IANA for MQTT
MQTT_TLS_PORT = 8883  # registered with IANA for MQTT over TLS
BRIDGES_LIMIT = 32
_MOST_PORT = 65535
_PORT_DIGITS = 6
_PORT = Whole(1, _MOST_PORT)
_PATH = Text("path", nullable=True, limit=4096)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """TLS towards the broker."""

    enabled: bool = setting(Flag(), False, "Speak TLS with the broker.")
    ca: str | None = setting(_PATH, None, "Certificate authority to trust (PEM); null trusts the system's.")
    cert: str | None = setting(_PATH, None, "Our certificate (PEM), where the broker asks for one.")
    key: str | None = setting(_PATH, None, "The private key of `cert` (PEM).")
    verify: bool = setting(Flag(), True, "Check the broker's certificate and name.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttSettings:
    """The broker and how we speak with it."""

    embedded: bool = setting(Flag(), False, "Run a broker in this process instead of using `host`.")
    host: str = setting(Text("host name or address", check=check_host), "localhost", "The broker.")
    port: int = setting(_PORT, MQTT_PORT, f"The broker's port; {MQTT_TLS_PORT} where TLS is enabled.")
    username: str | None = setting(Text(nullable=True), None, "User name at the broker.")
    password: Secret | None = setting(Hidden(), None, "Password at the broker.")
    client_id: str | None = setting(Text(nullable=True, limit=100), None, "Null is `nuki2mqtt-<instance>`.")
    base_topic: str = setting(
        Text("topic", limit=128, check=check_base_topic),
        "nuki2mqtt",
        "Where everything is published: one or more levels, not `nuki`, not below the discovery prefix.",
    )
    protocol: MqttProtocol = setting(Word(MqttProtocol), MqttProtocol.AUTO, "MQTT version; auto tries 5 first.")
    tls: TlsSettings = section(TlsSettings, "TLS towards the broker.")
    output: Output = setting(Word(Output), Output.JSON, "One JSON object per device, one topic per value, or both.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeAssistantSettings:
    """Home Assistant's MQTT discovery."""

    enabled: bool = setting(Flag(), True, "Announce the devices to Home Assistant.")
    prefix: str = setting(
        Text("topic", limit=128, check=check_topic_path),
        "homeassistant",
        "Home Assistant's discovery prefix.",
    )
    form: DiscoveryForm = setting(
        Word(DiscoveryForm),
        DiscoveryForm.DEVICE,
        "One message per device, or one per entity (openHAB up to 5.1, Domoticz).",
    )
    open_states: bool = setting(Flag(), True, "Show an unlatched lock as open, not as unlocked.")
    command_ts: CommandTs = setting(
        Word(CommandTs, also={"true": "on", "yes": "on", "false": "off", "no": "off"}),
        CommandTs.AUTO,
        "Commands carry their time, so that late ones are refused; auto is on for the device form.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeSettings:
    """One Nuki Bridge."""

    host: str = field(
        metadata=required(Text("host name or address", check=check_host), "The Bridge's address or name.")
    )
    port: int = setting(_PORT, 8080, "The port of its HTTP API.")
    id: NukiId | None = setting(HexId(), None, "Its ID; null is learnt at the first contact.")
    token: Secret | None = setting(Hidden(), None, "Its API token; null is learnt by `nuki2mqtt pair`.")
    auth: AuthSetting = setting(
        Word(AuthSetting, is_repeated=False), AuthSetting.AUTO, "How the token is sent; auto takes the best."
    )
    allow_plain: bool = setting(Flag(), False, "Let auto fall back to the readable token.")

    @property
    def link(self) -> str:
        """Where it is, as in a URL: an IPv6 address is in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @classmethod
    def at(cls, link: str) -> Self:
        """A Bridge of which only its link is known; raises ValueError for what is none."""
        host, _, port = link.rpartition(":")
        host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        check_host(host)
        bridge = cls(host=host, port=int(port) if port.isascii() and port.isdigit() and len(port) < _PORT_DIGITS else 0)
        if not 1 <= bridge.port <= _MOST_PORT or bridge.link != link:
            raise ValueError("not a link")
        return bridge


@dataclass(frozen=True, slots=True, kw_only=True)
class FindSettings:
    """How Bridges are searched for, by `nuki2mqtt find` and by the service where none is listed or one is gone."""

    mdns: bool = setting(Flag(), True, "Ask by mDNS.")
    hostnames: bool = setting(Flag(), True, "Ask for the host names that Bridges with known IDs give themselves.")
    cloud: bool = setting(Flag(), False, "Ask Nuki's server, which tells it our public address.")
    follow: bool = setting(
        Flag(), True, "Follow a paired Bridge to a new address; one in `bridges` stays where it is listed."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackSettings:
    """The door that Bridges knock on when a state changes."""

    enabled: bool = setting(Flag(), True, "Be told of changes at once, not at the next poll.")
    host: str = setting(
        Text("auto, host name or address", check=check_callback_host),
        "auto",
        "This machine as the Bridge reaches it; auto is the address that we reach the Bridge from.",
    )
    bind: str = setting(Text("host name or address", check=check_host), "0.0.0.0", "The address that we listen on.")
    port: int = setting(_PORT, 8321, "The port that we listen on.")
    sender: SenderCheck = setting(
        Word(SenderCheck), SenderCheck.AUTO, "Whether a callback must come from its Bridge's address."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PollSettings:
    """How often a Bridge is asked."""

    list_s: float = setting(Seconds(1, 3600), 30.0, "Between two readings of all states from the Bridge's cache.")
    info_s: float = setting(Seconds(30, 86400), 300.0, "Between two readings of the Bridge's own state.")
    min_gap_s: float = setting(Seconds(0, 10), 0.5, "Rest after each request, which Bridges need.")
    offline_after_scans: int = setting(
        Whole(0, 1000), 5, "A device missing from so many Bluetooth scans is offline; 0 never."
    )
    forced_min_s: float = setting(
        Seconds(10, 86400), 60.0, "Between two readings that wake the same lock, which costs battery."
    )
    forced_per_day: int = setting(Whole(0, 1000), 24, "Readings per day that wake the same lock.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSettings:
    """What happens with commands."""

    ttl_s: float = setting(Seconds(1, 60), 10.0, "A command older than this is refused.")
    overlap: Overlap = setting(Word(Overlap), Overlap.REJECT, "Refuse or queue an action while another runs.")
    confirm_s: float = setting(Seconds(2, 300), 45.0, "How long to wait for the evidence that it was done.")
    wait: bool = setting(Flag(), False, "Let the Bridge answer only when the motor has stopped.")
    bare_opening: bool = setting(Flag(), False, "Accept opening commands without a time over MQTT 3.1.1.")
    trust_clock: TrustClock = setting(
        Word(TrustClock), TrustClock.AUTO, "Judge whether our clock is right, or trust it always."
    )
    permit: frozenset[Action] | None = setting(
        Permit(), None, f"What devices may be told, all or a list of: {', '.join(Action)}."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeypadSettings:
    """Keypad codes, which only Nuki Web can change."""

    manage: bool = setting(Flag(), False, "Accept changes of keypad codes; without it they are only listed.")
    publish_codes: bool = setting(
        Flag(), False, "Publish the codes themselves, for all who may read them at the broker; drawn ones need it."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """The door at which Nuki's cloud posts what has changed, behind a reverse proxy with TLS; none without a secret."""

    secret: Secret | None = setting(Hidden(), None, "The secret of the webhook in Nuki Web; null opens no door.")
    host: str = setting(
        Text("host name or address", check=check_host),
        "127.0.0.1",
        "The address that we listen on, for the reverse proxy.",
    )
    port: int = setting(_PORT, 8098, "The port that we listen on.")
    path: str = setting(
        Text("path", limit=128, check=check_webhook_path), "/nuki", "The path of the webhook, as the proxy passes it."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NukiWebSettings:
    """Nuki's cloud; used only with a token."""

    token: Secret | None = setting(Hidden(), None, "API token of Nuki Web; null does not use it.")
    base_url: str = setting(Text("http or https URL", check=check_base_url), "https://api.nuki.io", "Where its API is.")
    poll_s: float = setting(Seconds(10, 3600), 60.0, "Between two readings.")
    log: bool = setting(Flag(), True, "Read who did what, and publish names.")
    commands: WebCommands = setting(
        Word(WebCommands),
        WebCommands.WHEN_NO_BRIDGE,
        "When a command goes through the cloud, which only queues it: see [guide-cloud.md](guide-cloud.md).",
    )
    keypad: KeypadSettings = section(KeypadSettings, "Keypad codes.")
    webhook: WebhookSettings = section(WebhookSettings, "The door for webhooks.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """One device, by its Nuki ID."""

    topic: str | None = setting(
        Text("topic level", nullable=True, limit=40, check=check_device_topic),
        None,
        "Its topic below the base; null is made of its name.",
    )
    name: str | None = setting(Text(nullable=True, limit=100), None, "Shown name; null is that of the Nuki app.")
    permit: frozenset[Action] | None = setting(
        Permit(nullable=True), None, "What it may be told; null is `commands.permit`."
    )
    ignore: bool = setting(Flag(), False, "Leave this device alone.")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """Health and metrics over HTTP."""

    enabled: bool = setting(Flag(), False, "Serve them.")
    host: str = setting(Text("host name or address", check=check_host), "127.0.0.1", "The address to listen on.")
    port: int = setting(_PORT, 8099, "The port to listen on.")
    password: Secret | None = setting(Hidden(), None, "Password of the page.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What the log shows."""

    level: LogLevel = setting(Word(LogLevel), LogLevel.INFO, "The least important line that is written.")
    format: LogFormat = setting(Word(LogFormat), LogFormat.TEXT, "Text for people or JSON for machines.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, with what is unusual about them in `warnings`."""

    version: int = setting(Version(), VERSION, "The version of this file's layout.")
    mqtt: MqttSettings = section(MqttSettings, "The broker.")
    homeassistant: HomeAssistantSettings = section(HomeAssistantSettings, "Home Assistant's discovery.")
    bridges: tuple[BridgeSettings, ...] = field(
        default=(),
        metadata={"key": Key(ListOf(BridgeSettings, BRIDGES_LIMIT), "The Bridges; `nuki2mqtt find` finds them.")},
    )
    find: FindSettings = section(FindSettings, "How `nuki2mqtt find` searches for Bridges.")
    callback: CallbackSettings = section(CallbackSettings, "The door that Bridges knock on.")
    poll: PollSettings = section(PollSettings, "How often a Bridge is asked.")
    commands: CommandSettings = section(CommandSettings, "What happens with commands.")
    nuki_web: NukiWebSettings = section(NukiWebSettings, "Nuki's cloud; used only with a token.")
    devices: Mapping[NukiId, DeviceSettings] = field(
        default_factory=lambda: MappingProxyType({}),
        metadata={"key": Key(TableOf(DeviceSettings), "Single devices, by their Nuki ID.")},
    )
    web: WebSettings = section(WebSettings, "Health and metrics over HTTP.")
    state_dir: str | None = setting(_PATH, None, "Where the little that is remembered lies; null is the platform's.")
    log: LogSettings = section(LogSettings, "The log.")
    warnings: tuple[str, ...] = ()

    def permitted(self, nuki_id: NukiId, device_type: int) -> frozenset[Action]:
        """What a device may be told: what it understands, as far as permitted; nothing if it is ignored."""
        device = self.devices.get(nuki_id, DeviceSettings())
        if device.ignore:
            return frozenset()
        permit = self.commands.permit if device.permit is None else device.permit
        understood = frozenset(actions_of(device_type))
        return understood if permit is None else understood & permit

    def render_public(self) -> dict[str, Any]:
        """All settings as JSON values; of a secret only whether it is set."""
        return _render(self)


def _render(part: Any) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, key in keys_of(type(part)).items():
        value = getattr(part, name)
        match key.kind:
            case Section():
                shown[name] = _render(value)
            case ListOf():
                shown[name] = [_render(item) for item in value]
            case TableOf():
                shown[name] = {str(nuki_id): _render(item) for nuki_id, item in value.items()}
            case kind:
                shown[name] = kind.show(value)
    return shown
