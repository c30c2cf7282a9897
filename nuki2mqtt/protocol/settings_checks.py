"""What single values cannot show: contradictions between them, parts not built yet, and what is unusual."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from nuki2mqtt.protocol.settings import MQTT_PORT, MQTT_TLS_PORT, Settings
from nuki2mqtt.protocol.settings_names import is_at_or_below, is_loopback
from nuki2mqtt.protocol.settings_shape import leaf_keys
from nuki2mqtt.protocol.settings_words import AuthSetting, MqttProtocol, Output, TrustClock

# What the finished product accepts and this version does not: key -> refused value.
# A row goes when its part comes.
NOT_IN_THIS_VERSION: Mapping[str, object] = MappingProxyType(
    {
        "web.enabled": True,
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A contradiction: the keys that take part, the one to change first, and what to do."""

    keys: tuple[str, ...]
    text: str


def refusals(settings: Settings) -> Iterator[Finding]:
    """What is not in this version."""
    defaults = {leaf.path: leaf.kind.show(leaf.default) for leaf in leaf_keys(Settings)}
    for path, refused in NOT_IN_THIS_VERSION.items():
        value: object = settings
        for name in path.split("."):
            value = getattr(value, name)
        if value == refused:
            default = str(defaults[path]).lower()
            yield Finding((path,), f"not in this version; leave it out or set it to {default}")


def contradictions(settings: Settings) -> Iterator[Finding]:
    """Values that cannot go together."""
    base, prefix = settings.mqtt.base_topic, settings.homeassistant.prefix
    topics = ("mqtt.base_topic", "homeassistant.prefix")
    if is_at_or_below(base, prefix):
        yield Finding(topics, "must not be the discovery prefix or below it; choose another topic")
    elif is_at_or_below(prefix, base):
        yield Finding(topics[::-1], "must not be below mqtt.base_topic; choose another topic")
    yield from _embedded_contradictions(settings)
    if settings.callback.port == settings.web.port:
        yield Finding(("callback.port", "web.port"), "must not be the same as web.port; choose another port")
    yield from _webhook_contradictions(settings)
    if (settings.mqtt.tls.cert is None) != (settings.mqtt.tls.key is None):
        pair = ("mqtt.tls.cert", "mqtt.tls.key")
        missing, given = pair if settings.mqtt.tls.cert is None else pair[::-1]
        yield Finding((given,), f"needs {missing} too; give both or none")
    yield from _repeated_bridges(settings)
    yield from _repeated_topics(settings)


def _webhook_contradictions(settings: Settings) -> Iterator[Finding]:
    if settings.nuki_web.webhook.secret is None:
        return
    key = "nuki_web.webhook.port"
    for other, port in (("callback.port", settings.callback.port), ("web.port", settings.web.port)):
        if port == settings.nuki_web.webhook.port:
            yield Finding((key, other), f"must not be the same as {other}; choose another port")


def _embedded_contradictions(settings: Settings) -> Iterator[Finding]:
    mqtt = settings.mqtt
    if not mqtt.embedded:
        return
    if not is_loopback(mqtt.host):
        yield Finding(
            ("mqtt.host", "mqtt.embedded"), "not with mqtt.embedded, whose broker is here; leave one of them out"
        )
    if mqtt.tls.enabled:
        yield Finding(
            ("mqtt.tls.enabled", "mqtt.embedded"), "the embedded broker speaks no TLS; set one of them to false"
        )
    if mqtt.protocol is MqttProtocol.V5:
        yield Finding(("mqtt.protocol", "mqtt.embedded"), "the embedded broker speaks MQTT 3.1.1 only; set it to auto")


def _repeated_bridges(settings: Settings) -> Iterator[Finding]:
    links: dict[str, int] = {}
    ids: dict[object, int] = {}
    for index, bridge in enumerate(settings.bridges):
        first = links.setdefault(bridge.link.lower(), index)
        if first != index:
            keys = (
                f"bridges.{index}.host",
                f"bridges.{first}.host",
                f"bridges.{index}.port",
                f"bridges.{first}.port",
            )
            yield Finding(keys, f"the same address as bridges.{first}; list each Bridge once")
        if bridge.id is not None and (first := ids.setdefault(bridge.id, index)) != index:
            pair = (f"bridges.{index}.id", f"bridges.{first}.id")
            yield Finding(pair, f"the same ID as bridges.{first}; list each Bridge once")


def _repeated_topics(settings: Settings) -> Iterator[Finding]:
    topics: dict[str, str] = {}
    for nuki_id, device in settings.devices.items():
        if device.topic is None:
            continue
        key = f"devices.{nuki_id}.topic"
        first = topics.setdefault(device.topic, key)
        if first != key:
            yield Finding((key, first), f"the same as {first}; give each device its own topic")


def cautions(settings: Settings, given: Collection[str]) -> Iterator[str]:
    """What is unusual, each with the next step; `given` are the keys that somebody wrote."""
    yield from _broker_cautions(settings, given)
    yield from _bridge_cautions(settings)
    poll, callback = settings.poll, settings.callback
    if poll.list_s < 10:
        yield "poll.list_s: below 10 s a Bridge begins to answer 503; use 10 or more"
    if poll.min_gap_s < 0.5:
        yield "poll.min_gap_s: below 0.5 s a Bridge begins to answer 503; use 0.5 or more"
    if poll.forced_min_s < 60:
        yield "poll.forced_min_s: below 60 s the locks' batteries suffer; use 60 or more"
    yield from _command_cautions(settings)
    if callback.enabled and is_loopback(callback.host):
        yield (
            "callback.host: a loopback address reaches no other machine, so a Bridge could not call back;"
            " use auto or this machine's address in the Bridge's network"
        )
    if settings.nuki_web.webhook.secret is not None and settings.nuki_web.token is None:
        yield "nuki_web.webhook.secret: has no effect without a token; set nuki_web.token or leave this out"
    url = urlsplit(settings.nuki_web.base_url)
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        yield "nuki_web.base_url: without https the token can be read on the way; use https"


def _broker_cautions(settings: Settings, given: Collection[str]) -> Iterator[str]:
    mqtt = settings.mqtt
    if mqtt.embedded and settings.bridges:
        yield "mqtt.embedded: this broker is meant for trying out; use one of its own for real locks"
        if mqtt.username is None:
            yield (
                "mqtt.embedded: everybody who is logged in to this machine can command the locks;"
                " set mqtt.username and mqtt.password"
            )
    if mqtt.output is Output.ATTRIBUTE and settings.homeassistant.enabled:
        yield "mqtt.output: Home Assistant needs the JSON snapshots and is told of no device; set both"
    if mqtt.tls.enabled and not mqtt.tls.verify:
        yield "mqtt.tls.verify: false lets anybody pose as the broker; set mqtt.tls.ca instead"
    if not mqtt.tls.enabled:
        for name in ("ca", "cert", "key", "verify"):
            path = f"mqtt.tls.{name}"
            if path in given and getattr(mqtt.tls, name) is not (True if name == "verify" else None):
                yield f"{path}: has no effect without TLS; set mqtt.tls.enabled to true or leave this out"
    if mqtt.password is not None and mqtt.username is None:
        yield "mqtt.password: most brokers ignore a password without a user; set mqtt.username"
    if mqtt.port == MQTT_TLS_PORT and not mqtt.tls.enabled:
        yield f"mqtt.port: {MQTT_TLS_PORT} is the TLS port; set mqtt.tls.enabled to true or use {MQTT_PORT}"
    if mqtt.port == MQTT_PORT and mqtt.tls.enabled:
        yield f"mqtt.port: {MQTT_PORT} is the port without TLS; leave it out to use {MQTT_TLS_PORT}"


def _command_cautions(settings: Settings) -> Iterator[str]:
    if settings.commands.bare_opening:
        yield (
            "commands.bare_opening: true lets an opening command that was queued for hours open the door over MQTT"
            " 3.1.1; let senders give ts instead"
        )
    if settings.commands.trust_clock is TrustClock.ALWAYS:
        yield (
            "commands.trust_clock: always lets a wrong clock take old commands for fresh ones; use auto and set this"
            " machine's clock by NTP"
        )


def _bridge_cautions(settings: Settings) -> Iterator[str]:
    for index, bridge in enumerate(settings.bridges):
        path = f"bridges.{index}"
        if bridge.auth is AuthSetting.PLAIN:
            yield f"{path}.auth: plain sends the token readable to all in the network; use auto"
        if bridge.allow_plain:
            yield (
                f"{path}.allow_plain: true lets the token be sent readable to all in the network;"
                " leave it out if the Bridge can do better"
            )
        if bridge.token is not None and not 6 <= len(bridge.token.reveal()) <= 20:
            yield (
                f"{path}.token: Bridge tokens have 6 to 20 characters, this one has not;"
                " compare it with the Nuki app (Manage Bridge)"
            )
