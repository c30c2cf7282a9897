"""Where each Bridge shall call us: our address as that Bridge sees it, and a path that is its secret alone."""

import hashlib

from nuki2mqtt.gateway import bridge_problems
from nuki2mqtt.gateway.bridge_link import BridgeLink
from nuki2mqtt.gateway.callback_lease import PATH_PREFIX, OwnCallback, is_container_internal
from nuki2mqtt.gateway.vocabulary import Moment
from nuki2mqtt.model.secret import Secret

CALLBACK_AUTO = "auto"


class OwnCallbacks:
    """`door_port`: where the callback door listens, None before it does; `local_hosts`: our address, by link."""

    def __init__(self, host: str, *, instance: str, secret: Secret, in_container: bool) -> None:
        self.door_port: int | None = None
        self.local_hosts: dict[str, str] = {}
        self._host = host
        self._instance = instance
        self._secret = secret
        self._in_container = in_container

    def path(self, name: str) -> Secret:
        """The path at which this Bridge alone may knock; `name` is its `secret_name`."""
        digest = hashlib.sha256(f"{self._secret.reveal()} {name}".encode()).hexdigest()
        return Secret(f"{PATH_PREFIX}{self._instance}/{digest[:32]}")

    def set(self, link: BridgeLink, now: Moment) -> list[str]:
        """Tell a link where it shall be called, as soon as that is known; what a person should know of it."""
        is_auto = self._host == CALLBACK_AUTO
        host = self.local_hosts.get(link.link) if is_auto else self._host
        if self.door_port is None or host is None or not link.is_verified:
            return []
        if is_auto and self._in_container and is_container_internal(host, link.place.host):
            link.set_own_callback(None, now)
            return [bridge_problems.container_address(link.link, host)]
        link.set_own_callback(OwnCallback(host, self.door_port, self.path(link.secret_name), self._instance), now)
        return []
