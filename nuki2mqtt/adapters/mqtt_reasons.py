"""Why a broker cannot be reached or refuses us, in words that name the setting to look at."""

import re
import socket
import ssl
from enum import StrEnum

from nuki2mqtt.errors import MqttError

# MQTT 5.0 section 3.2.2.2. paho 2.2.0 gives the codes of 3.1.1 (section 3.2.2.3) under these numbers too.
_PROTOCOL_CODES = frozenset({0x81, 0x82, 0x84})  # malformed packet, protocol error, unsupported version
_CONNACK_HINTS = {
    0x84: "the broker does not speak this MQTT version: set mqtt.protocol to auto",
    0x85: "the broker does not accept the client id: check mqtt.client_id",
    0x86: "the broker does not accept the login: check mqtt.username and mqtt.password",
    0x87: (
        "the broker does not authorise us: check mqtt.username and mqtt.password, and the rights that the broker"
        " gives to this user and client id"
    ),
    0x88: "the broker says that it is not available now",
    0x89: "the broker says that it is busy",
    0x8A: "the broker has banned this client: check its logs",
    0x8C: "the broker does not accept a login by password: check its authentication method",
    0x9A: "the broker keeps no retained messages; nuki2mqtt needs them: enable them at the broker",
}
_DISCONNECT_HINTS = {
    0x87: "check the broker's ACL",
    0x8E: "another client uses the same client id: give each its own mqtt.client_id",
    0x8B: "the broker is shutting down",
    0x95: "a message was larger than the broker accepts: check its packet size limit",
}
_PUBACK_HINTS = {0x87: "not authorised. Give this user the right to write there (ACL)"}

# OpenSSL's x509_vfy.h, as `verify_code` of Python's SSLCertVerificationError.
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_CA = frozenset({2, 18, 19, 20, 21})
_WRONG_NAME = frozenset({62, 64})
_NO_TLS = "TLS is not spoken there, it seems: check mqtt.port, or set mqtt.tls.enabled to false"
_ALERTS = (
    ("CERTIFICATE_REQUIRED", "the broker asks for a client certificate: set mqtt.tls.cert and mqtt.tls.key"),
    ("ALERT_UNKNOWN_CA", "the broker does not know who signed our certificate: check mqtt.tls.cert"),
    ("ALERT_CERTIFICATE_EXPIRED", "our certificate has expired: renew mqtt.tls.cert"),
    ("ALERT_BAD_CERTIFICATE", "the broker does not accept our certificate: check mqtt.tls.cert"),
    ("ALERT_HANDSHAKE_FAILURE", "the broker agrees to no TLS version or cipher, or asks for mqtt.tls.cert"),
    ("WRONG_VERSION_NUMBER", _NO_TLS),
    ("RECORD_LAYER_FAILURE", _NO_TLS),
    ("UNEXPECTED_EOF", _NO_TLS),
)
_SOURCE_LINE = re.compile(r"\s*\(_ssl\.c:\d+\)")


class FailureKind(StrEnum):
    """What a failed connection says about the protocol version."""

    UNREACHABLE = "unreachable"  # no MQTT was spoken: name, TCP or TLS
    REFUSED = "refused"  # an answer that has nothing to do with the version, such as a bad login
    WRONG_PROTOCOL = "wrong_protocol"  # the answer says so
    NO_ANSWER = "no_answer"  # closed or silent after CONNECT: how older brokers meet a version they do not know


class ConnectFailed(MqttError):  # noqa: N818 - reads as what it is
    """A connection could not be made; the text is safe to log."""

    def __init__(self, kind: FailureKind, text: str) -> None:
        self.kind = kind
        super().__init__(text)

    @property
    def concerns_protocol(self) -> bool:
        """Whether another protocol version is worth a try."""
        return self.kind in {FailureKind.WRONG_PROTOCOL, FailureKind.NO_ANSWER}


def connack_failure(code: int, name: str) -> ConnectFailed:
    """What a refusing CONNACK means."""
    kind = FailureKind.WRONG_PROTOCOL if code in _PROTOCOL_CODES else FailureKind.REFUSED
    return ConnectFailed(kind, _CONNACK_HINTS.get(code, f"the broker refuses us: {name} (code {code})"))


def closed_early(wire_error: str, protocol: str) -> ConnectFailed:
    """What it means that the connection ended after CONNECT, without a CONNACK."""
    if "SSL" in wire_error:  # with TLS 1.3 the broker judges our certificate after the handshake
        return ConnectFailed(FailureKind.UNREACHABLE, f"no TLS connection with the broker: {tls_text(wire_error)}")
    return ConnectFailed(
        FailureKind.NO_ANSWER,
        f"the broker closes the connection instead of answering to MQTT {protocol}: check mqtt.port,"
        " mqtt.tls.enabled, the login and the broker's log",
    )


def disconnect_reason(code: int, name: str) -> str:
    """What the broker's DISCONNECT means (MQTT 5.0 section 3.14.2.1)."""
    hint = _DISCONNECT_HINTS.get(code)
    return f"the broker ended the connection: {name}" + (f"; {hint}" if hint else "")


def publish_refusal(code: int, name: str) -> str:
    """What a refusing PUBACK means (MQTT 5.0 section 3.4.2.1)."""
    return _PUBACK_HINTS.get(code, name)


def network_failure(error: OSError | UnicodeError, host: str, port: int) -> ConnectFailed:
    """What an error of the name look-up, of TCP or of the TLS handshake means."""
    return ConnectFailed(FailureKind.UNREACHABLE, _network_text(error, host, port))


def _network_text(error: OSError | UnicodeError, host: str, port: int) -> str:
    there = f"{host}:{port}"
    match error:
        case UnicodeError():
            return f"{host!r} is not a host name: check mqtt.host"
        case socket.gaierror():
            return f"the name {host!r} cannot be looked up ({error.strerror}): check mqtt.host and the network"
        case ssl.SSLCertVerificationError():
            return _certificate_text(error, host)
        case ssl.SSLError():
            return f"no TLS connection with {there}: {tls_text(str(error))}"
        case ConnectionResetError():  # TCP is up then, so it was the handshake
            return f"no TLS connection with {there}: {_NO_TLS}"
        case TimeoutError():
            return f"no answer from {there}: check mqtt.host, mqtt.port and the network"
        case ConnectionRefusedError():
            return f"nothing listens at {there}: is the broker running? Check mqtt.host and mqtt.port"
        case _:
            return f"cannot connect to {there}: {error.strerror or error}"


def _certificate_text(error: ssl.SSLCertVerificationError, host: str) -> str:
    code = error.verify_code
    if code == _EXPIRED:
        return "the broker's TLS certificate has expired: renew it at the broker"
    if code == _NOT_YET_VALID:
        return "the broker's TLS certificate is not valid yet: check the clocks of both computers"
    if code in _WRONG_NAME:
        return f"the broker's TLS certificate is not for {host!r}: set mqtt.host to a name that it has"
    if code in _UNKNOWN_CA:
        return "an unknown authority signed the broker's TLS certificate: set mqtt.tls.ca to its certificate"
    return f"the broker's TLS certificate cannot be verified: {error.verify_message}"


def tls_text(text: str) -> str:
    """An OpenSSL error text as a sentence."""
    for name, meaning in _ALERTS:
        if name in text:
            return meaning
    return _SOURCE_LINE.sub("", text)
