"""From a command to the Bridge, or the cloud, that can carry it out; the only place that makes an order to a lock.

One lock on two Bridges: the order goes to the one with a scan hit and the better signal. Once a byte went to a Bridge
or to the cloud, everything that follows of that command goes there: `link` is remembered by the caller.
"""

from dataclasses import dataclass

from nuki2mqtt.gateway.bridge_link import BridgeLink
from nuki2mqtt.gateway.cloud_commands import Way
from nuki2mqtt.gateway.cloud_orders import CloudOrders
from nuki2mqtt.gateway.following import Following
from nuki2mqtt.gateway.vocabulary import CLOUD, Moment
from nuki2mqtt.model.action import Action
from nuki2mqtt.model.command import Reason
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.state import DeviceState, Source
from nuki2mqtt.protocol.bridge_api import LockActionRequest

_NO_SIGNAL_DBM = -1000
_LONGEST_WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Choice:
    """The link to order from, None as long as there is none; or why the command cannot be done at all."""

    link: str | None
    refusal: Reason | None = None


class CommandRoutes:
    """What commands may do to Bridges and the cloud: order, withdraw, look.

    `waits`: the Bridge's answer waits for the motor. `cloud` is None where it is not used.
    """

    def __init__(self, following: Following, *, waits: bool, cloud: CloudOrders | None = None) -> None:
        self._following = following
        self._waits = waits
        self._cloud = cloud

    def choose_for(
        self, nuki_id: NukiId, action: Action, *, opens: bool, is_not_written: bool, deadline: float, now: Moment
    ) -> Choice:
        """Where a command of which nothing was written goes now."""
        if self._cloud is None:
            return Choice(self.choose(nuki_id, now))
        route = self._cloud.route(
            nuki_id, action, opens=opens, is_not_written=is_not_written, deadline=deadline, now=now
        )
        match route.way:
            case Way.BRIDGE:
                return Choice(self.choose(nuki_id, now))
            case Way.CLOUD:
                return Choice(CLOUD)
            case Way.REFUSE:
                return Choice(None, route.reason)
            case _:
                return Choice(None)

    def with_way(self, nuki_id: NukiId, actions: frozenset[Action]) -> frozenset[Action]:
        """Those of the actions that a Bridge or the cloud can carry out at all."""
        return actions if self._cloud is None else self._cloud.with_way(nuki_id, actions)

    def is_held(self, nuki_id: NukiId, now: Moment) -> bool:
        """Whether an opening order may still wait in the cloud: then no other one goes, by no way."""
        return self._cloud is not None and self._cloud.holds.is_held(nuki_id, now.monotonic)

    def choose_to_look(self, nuki_id: NukiId, now: Moment) -> str | None:
        """The link to ask for the state; None if neither a Bridge nor the cloud can be asked."""
        link = self.choose(nuki_id, now)
        if link is not None or self._cloud is None or not self._cloud.can_read(nuki_id):
            return link
        return CLOUD

    def choose(self, nuki_id: NukiId, now: Moment) -> str | None:
        """The Bridge to ask; None if none that can be asked has listed the device."""
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

    def order_from_cloud(self, nuki_id: NukiId, action: Action, due: float, deadline: float, now: Moment) -> None:
        """Have the cloud ordered to do this, between these times (monotonic seconds)."""
        if self._cloud is not None:
            self._cloud.order(nuki_id, action, due, deadline, now)

    def order(self, link: str, nuki_id: NukiId, code: int, due: float, not_after: float) -> None:
        """Send this action as soon as the Bridge may be asked, between these times (monotonic seconds)."""
        device_type = self._following.devices.device_type(nuki_id)
        request = LockActionRequest(nuki_id, device_type, code, nowait=not self._waits)
        self._following.links[link].order(nuki_id, request, due, not_after)

    def withdraw(self, link: str, nuki_id: NukiId) -> None:
        """Do not send what waits for this device."""
        if link == CLOUD and self._cloud is not None:
            self._cloud.withdraw(nuki_id)
        elif link != CLOUD:
            self._following.links[link].withdraw(nuki_id)

    def look(self, link: str, nuki_id: NukiId, now: Moment) -> None:
        """Let `/list`, or the cloud's word on this device, come at once."""
        if link == CLOUD and self._cloud is not None:
            self._cloud.read(nuki_id, now)
        elif link != CLOUD:
            self._following.links[link].ask_list_now(now)

    def read(self, link: str, nuki_id: NukiId, now: Moment) -> bool:
        """Wake the lock to see, or read the cloud's word; False if that cannot be (the day's reserve is spent)."""
        if link == CLOUD:
            return self._cloud is not None and self._cloud.read(nuki_id, now)
        device_type = self._following.devices.device_type(nuki_id)
        return self._following.links[link].reads.want_for_command(nuki_id, device_type, now.monotonic)

    def read_in_budget(self, link: str, nuki_id: NukiId, now: Moment) -> bool:
        """Wake the lock for somebody who asks; False if the budget is spent or the next read is far."""
        if link == CLOUD:  # it is told at once what the lock does; a forced sync would tell no more
            return self._cloud is not None and self._cloud.read(nuki_id, now)
        asked = self._following.links[link]
        wait_s = asked.reads.wait_s(nuki_id, now.monotonic)
        if wait_s is None or wait_s > _LONGEST_WAIT_S:
            return False
        return asked.want_lock_state(nuki_id, self._following.devices.device_type(nuki_id), now)

    def drop_read(self, link: str, nuki_id: NukiId) -> None:
        """The command is settled without."""
        if link == CLOUD:
            return
        self._following.links[link].reads.drop_for_command(nuki_id)

    def unreachable(self, nuki_id: NukiId, now: Moment) -> None:
        """A command ended `device_unreachable`."""
        self._following.vouching.unreachable(nuki_id, now.monotonic)

    def state_before(self, link: str | None, nuki_id: NukiId, now: Moment) -> DeviceState | None:
        """What is seen of the device now, by the side that gets the order; None if we do not vouch for it."""
        if link == CLOUD:
            return None if self._cloud is None else self._cloud.state_before(nuki_id, now)
        is_cloud = self._following.devices.source_of(nuki_id) is Source.WEB
        if is_cloud or not self._following.vouching.is_vouched(nuki_id, now.monotonic):
            return None
        return self._following.devices.state(nuki_id)

    def state_word(self, nuki_id: NukiId) -> str | None:
        """The state that was last seen, as a word."""
        return self._following.devices.snapshot(nuki_id).state

    def why_waiting(self, link: str | None, nuki_id: NukiId) -> Reason:
        """Why an order has not gone out yet."""
        if link == CLOUD:
            return Reason.BRIDGE_UNREACHABLE
        if link is None:
            return Reason.TOKEN_REFUSED if self._following.needs_pairing else Reason.BRIDGE_UNREACHABLE
        asked = self._following.links[link]
        if asked.ordered_device not in {None, nuki_id}:
            return Reason.BUSY
        if asked.is_refusing_token:
            return Reason.TOKEN_REFUSED
        return Reason.BRIDGE_UNREACHABLE if asked.is_in_trouble else Reason.BUSY

    # --- The life of an order to the cloud ----------------------------------------------------------------------------

    def sent_to_cloud(self, nuki_id: NukiId) -> None:
        """An opening order goes out there."""
        if self._cloud is not None:
            self._cloud.sent(nuki_id)

    def ended_in_cloud(self, nuki_id: NukiId, now: Moment, *, is_certain: bool) -> None:
        """An opening order that went there has its end."""
        if self._cloud is not None:
            self._cloud.ended(nuki_id, now, is_certain=is_certain)
