"""The enumerations of the settings: every word that a setting can be."""

from enum import StrEnum


class MqttProtocol(StrEnum):
    """Which MQTT we speak; `auto` tries 5 first."""

    AUTO = "auto"
    V5 = "5"
    V311 = "3.1.1"


class Output(StrEnum):
    """How a device's snapshot is published."""

    JSON = "json"
    ATTRIBUTE = "attribute"
    BOTH = "both"


class DiscoveryForm(StrEnum):
    """The form of Home Assistant's discovery messages."""

    DEVICE = "device"
    ENTITY = "entity"


class CommandTs(StrEnum):
    """Whether commands of Home Assistant carry the time they were given."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class AuthSetting(StrEnum):
    """How the token is sent to a Bridge."""

    AUTO = "auto"
    ENCRYPTED = "encrypted"
    HASHED = "hashed"
    PLAIN = "plain"


class SenderCheck(StrEnum):
    """Whether a callback must come from its Bridge's address."""

    AUTO = "auto"
    STRICT = "strict"
    OFF = "off"


class Overlap(StrEnum):
    """What happens to an action given while another one runs."""

    REJECT = "reject"
    QUEUE = "queue"


class TrustClock(StrEnum):
    """Whether the wall clock is believed when commands carry a time."""

    AUTO = "auto"
    ALWAYS = "always"


class WebCommands(StrEnum):
    """When a command goes through Nuki Web."""

    NEVER = "never"
    WHEN_NO_BRIDGE = "when_no_bridge"
    FALLBACK = "fallback"


class LogLevel(StrEnum):
    """The least important line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How log lines are written."""

    TEXT = "text"
    JSON = "json"
