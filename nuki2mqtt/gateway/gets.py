"""`get`: look again, and say what was seen. From the Bridge's cache, or by waking the lock, within the budget."""

from dataclasses import dataclass

from nuki2mqtt.gateway.command_lane import End, ReplyTo
from nuki2mqtt.gateway.command_routes import CommandRoutes
from nuki2mqtt.gateway.news import CloudReadEnded, ListEnded, News, ReadEnded
from nuki2mqtt.gateway.vocabulary import CLOUD, Moment
from nuki2mqtt.model.command import Reason, Status
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.command_payloads import GetOrder

PATIENCE_S = 45.0
MOST_GETS = 100

_SEEN = End(Status.CONFIRMED)


@dataclass(frozen=True, slots=True)
class Get:
    """One `get` under way. Times are monotonic seconds."""

    nuki_id: NukiId
    order: GetOrder
    reply_to: ReplyTo
    received: float
    link: str


class Gets:
    """All `get`s under way."""

    def __init__(self, routes: CommandRoutes) -> None:
        self._routes = routes
        self._under_way: list[Get] = []
        self._ended: list[tuple[Get, End]] = []

    def take(self, nuki_id: NukiId, order: GetOrder, reply_to: ReplyTo, now: Moment) -> Reason | None:
        """Begin; a reason if it is refused."""
        link = self._routes.choose_to_look(nuki_id, now)
        if link is None:
            return Reason.BRIDGE_UNREACHABLE
        if len(self._under_way) >= MOST_GETS:
            return Reason.BUSY
        if order.force and not self._routes.read_in_budget(link, nuki_id, now):
            return Reason.BUSY
        if not order.force:
            self._routes.look(link, nuki_id, now)
        self._under_way.append(Get(nuki_id, order, reply_to, now.monotonic, link))
        return None

    def hear(self, news: News) -> None:
        """Take in what following the Bridges brought."""
        match news:
            case ReadEnded(nuki_id, _, state, error):
                why = Reason.DEVICE_UNREACHABLE if error is None else Reason.BRIDGE_UNREACHABLE
                end = End(Status.FAILED, why) if state is None else _SEEN
                asked = [get for get in self._under_way if get.order.force and get.link != CLOUD]
                self._end([get for get in asked if get.nuki_id == nuki_id], end)
            case CloudReadEnded(nuki_id, _, state):
                end = End(Status.FAILED, Reason.BRIDGE_UNREACHABLE) if state is None else _SEEN
                self._end([get for get in self._under_way if get.link == CLOUD and get.nuki_id == nuki_id], end)
            case ListEnded(link, devices):
                asked = [get for get in self._under_way if not get.order.force and get.link == link]
                failed = [get for get in asked if devices is None or get.nuki_id not in devices]
                self._end(failed, End(Status.FAILED, Reason.BRIDGE_UNREACHABLE))
                self._end([get for get in asked if get not in failed], _SEEN)
            case _:
                pass

    def _end(self, gets: list[Get], end: End) -> None:
        for get in gets:
            self._under_way.remove(get)
            self._ended.append((get, end))

    def next_deadline(self) -> float | None:
        """When somebody has waited long enough."""
        return min([get.received + PATIENCE_S for get in self._under_way]) if self._under_way else None

    def handle_timer(self, now: Moment) -> None:
        """End what has waited long enough."""
        late = [get for get in self._under_way if get.received + PATIENCE_S <= now.monotonic]
        self._end(late, End(Status.FAILED, Reason.BRIDGE_UNREACHABLE))

    def take_ended(self) -> list[tuple[Get, End]]:
        """What is over since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def is_under_way(self, nuki_id: NukiId) -> bool:
        """Whether somebody waits to see this device."""
        return any(get.nuki_id == nuki_id for get in self._under_way)

    def drop(self) -> None:
        """Forget all: another gateway owns the base, or we stop."""
        self._under_way.clear()
        self._ended.clear()
