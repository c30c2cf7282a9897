"""The TLS context towards the broker, as the settings ask for it."""

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from nuki2mqtt.adapters.mqtt_reasons import ConnectFailed, FailureKind

if TYPE_CHECKING:
    from nuki2mqtt.protocol.settings import TlsSettings


class HandshakeSocket(ssl.SSLSocket):
    """Closes itself when its handshake fails: paho 2.2.0 leaves that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - as in the standard library
        """Shake hands or close."""
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def make_tls_context(tls: "TlsSettings") -> ssl.SSLContext:
    """Read the certificates and make the context; blocks, so call it in a thread. Raises ConnectFailed."""
    context = _with_authority(tls.ca)
    context.sslsocket_class = HandshakeSocket
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert is not None:
        _load_own(context, tls.cert, tls.key)
    return context


def _with_authority(path: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=path)
    except ssl.SSLError as error:
        raise _unusable("mqtt.tls.ca", path, "no certificate in PEM form in it") from error
    except OSError as error:
        raise _unusable("mqtt.tls.ca", path, error.strerror or "cannot be read") from error


def _load_own(context: ssl.SSLContext, cert: str, key: str | None) -> None:
    for name, path in (("mqtt.tls.cert", cert), ("mqtt.tls.key", key)):
        if path is not None:
            try:
                Path(path).open("rb").close()  # load_cert_chain does not say which of the two it cannot read
            except OSError as error:
                raise _unusable(name, path, error.strerror or "cannot be read") from error
    try:
        # An encrypted key would make OpenSSL ask on the terminal: an empty password fails instead.
        context.load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        raise _unusable(
            "mqtt.tls.cert",
            cert,
            "the certificate and mqtt.tls.key do not go together, are not PEM, or the key needs a password",
        ) from error


def _unusable(name: str, path: str | None, why: str) -> ConnectFailed:
    return ConnectFailed(FailureKind.UNREACHABLE, f"{name}: {path} cannot be used: {why}")
