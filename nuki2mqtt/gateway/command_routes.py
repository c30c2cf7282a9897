"""From a command to the Bridge that can carry it out; the only place that makes an order to a lock.

One lock on two Bridges: the order goes to the one with a scan hit and the better signal. Once a byte went to a Bridge,
everything that follows of that command goes to the same one: `link` is remembered by the caller.
"""

from nuki2mqtt.gateway.bridge_link import BridgeLink
from nuki2mqtt.gateway.following import Following
from nuki2mqtt.gateway.vocabulary import Moment
from nuki2mqtt.model.command import Reason
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.state import DeviceState
from nuki2mqtt.protocol.bridge_api import LockActionRequest

_NO_SIGNAL_DBM = -1000
_LONGEST_WAIT_S = 10.0


class CommandRoutes:
    """What commands may do to Bridges: order, withdraw, look. `waits`: the Bridge's answer waits for the motor."""

    def __init__(self, following: Following, *, waits: bool) -> None:
        self._following = following
        self._waits = waits

    def choose(self, nuki_id: NukiId, now: Moment) -> str | None:
        """The link to ask; None if no Bridge that can be asked has listed the device."""
        following = self._following

        def rank(link: BridgeLink) -> tuple[bool, bool, int, bool]:
            dbm = following.rssi_dbm(link.link, nuki_id)
            return (
                not link.is_in_trouble and following.vouching.is_bridge_online(link.link, now.monotonic),
                dbm is not None,
                _NO_SIGNAL_DBM if dbm is None else dbm,
                following.devices.link_of(nuki_id) == link.link,
            )

        links = [link for link in following.links.values() if link.can_be_asked and self._has(link, nuki_id)]
        return max(links, key=rank).link if links else None

    def _has(self, link: BridgeLink, nuki_id: NukiId) -> bool:
        return nuki_id in self._following.listed.get(link.link, frozenset())

    def order(self, link: str, nuki_id: NukiId, code: int, due: float, not_after: float) -> None:
        """Send this action as soon as the Bridge may be asked, between these times (monotonic seconds)."""
        device_type = self._following.devices.device_type(nuki_id)
        request = LockActionRequest(nuki_id, device_type, code, nowait=not self._waits)
        self._following.links[link].order(nuki_id, request, due, not_after)

    def withdraw(self, link: str, nuki_id: NukiId) -> None:
        """Do not send what waits for this device."""
        self._following.links[link].withdraw(nuki_id)

    def look(self, link: str, now: Moment) -> None:
        """Let `/list` come at once."""
        self._following.links[link].ask_list_now(now)

    def read(self, link: str, nuki_id: NukiId, now: Moment) -> bool:
        """Wake the lock to see; False if the reserve of the day is spent."""
        device_type = self._following.devices.device_type(nuki_id)
        return self._following.links[link].reads.want_for_command(nuki_id, device_type, now.monotonic)

    def read_in_budget(self, link: str, nuki_id: NukiId, now: Moment) -> bool:
        """Wake the lock for somebody who asks; False if the budget is spent or the next read is far."""
        asked = self._following.links[link]
        wait_s = asked.reads.wait_s(nuki_id, now.monotonic)
        if wait_s is None or wait_s > _LONGEST_WAIT_S:
            return False
        return asked.want_lock_state(nuki_id, self._following.devices.device_type(nuki_id), now)

    def drop_read(self, link: str, nuki_id: NukiId) -> None:
        """The command is settled without."""
        self._following.links[link].reads.drop_for_command(nuki_id)

    def unreachable(self, nuki_id: NukiId, now: Moment) -> None:
        """A command ended `device_unreachable`."""
        self._following.vouching.unreachable(nuki_id, now.monotonic)

    def state_before(self, nuki_id: NukiId, now: Moment) -> DeviceState | None:
        """What is seen of the device now; None if we do not vouch for it."""
        if not self._following.vouching.is_vouched(nuki_id, now.monotonic):
            return None
        return self._following.devices.state(nuki_id)

    def state_word(self, nuki_id: NukiId) -> str | None:
        """The state that was last seen, as a word."""
        return self._following.devices.snapshot(nuki_id).state

    def why_waiting(self, link: str | None, nuki_id: NukiId) -> Reason:
        """Why an order has not gone out yet."""
        if link is None:
            return Reason.TOKEN_REFUSED if self._following.needs_pairing else Reason.BRIDGE_UNREACHABLE
        asked = self._following.links[link]
        if asked.ordered_device not in {None, nuki_id}:
            return Reason.BUSY
        if asked.is_refusing_token:
            return Reason.TOKEN_REFUSED
        return Reason.BRIDGE_UNREACHABLE if asked.is_in_trouble else Reason.BUSY
