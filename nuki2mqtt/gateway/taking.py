"""What is taken from MQTT while we own the base topic: commands, `get` and requests, each to the part that knows.

The counterpart of `telling`. Everything here is silent while another gateway owns the base.
"""

from dataclasses import replace
from typing import Any

from nuki2mqtt.gateway.broker_session import BrokerSession
from nuki2mqtt.gateway.cloud import Cloud
from nuki2mqtt.gateway.cloud_diagnosis import diagnose_cloud
from nuki2mqtt.gateway.commanding import Commanding
from nuki2mqtt.gateway.departures import Departures
from nuki2mqtt.gateway.following import Following
from nuki2mqtt.gateway.identity import Identity
from nuki2mqtt.gateway.keypad_replies import KeypadReplies
from nuki2mqtt.gateway.news import ListEnded
from nuki2mqtt.gateway.publications import Publications
from nuki2mqtt.gateway.requests import Requests
from nuki2mqtt.gateway.topic_memory import TopicMemory
from nuki2mqtt.gateway.vocabulary import CLOUD, Effect, JournalEntry, Level, Log, Memory, Moment, MqttReceived
from nuki2mqtt.model.action import Action
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.state import Snapshot
from nuki2mqtt.protocol.payloads import render_time, snapshot_body
from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.protocol.topics import Inbound, TopicTree

_MOST_DIAGNOSED = 200


class Taking:
    """Takes orders, tells what becomes of them."""

    def __init__(
        self,
        settings: Settings,
        identity: Identity,
        tree: TopicTree,
        publications: Publications,
        following: Following,
        topics: TopicMemory,
        memory: Memory,
        cloud: Cloud | None = None,
    ) -> None:
        self._cloud = cloud
        self._identity = identity
        self._settings = settings
        self._tree = tree
        self._following = following
        self._topics = topics
        self._commanding = Commanding(
            settings,
            tree,
            publications,
            following,
            topics,
            memory.journal,
            identity.started,
            None if cloud is None else cloud.orders,
        )
        self._no_keypads = KeypadReplies(tree, publications, publish_codes=False)
        self._removed: list[tuple[NukiId, str]] = []
        self._departures = Departures()
        self._requests = Requests(
            tree,
            publications,
            following,
            find_device=self._commanding.find_device,
            is_under_way=self._commanding.is_under_way,
            diagnose=self._diagnose,
            remove=self._remove,
            sync=None if cloud is None else cloud.syncs.begin,
        )

    @property
    def journal(self) -> dict[str, JournalEntry]:
        """The accepted commands, for the state file."""
        return self._commanding.journal

    @property
    def clock_skew_s(self) -> float | None:
        """The `ts` of the last command minus our clock."""
        return self._commanding.admission.clock_skew_s

    # --- Coming in ----------------------------------------------------------------------------------------------------

    def opened(self, session: BrokerSession, now: Moment) -> None:
        """We own the base and are subscribed."""
        self._commanding.opened(session.protocol or "", now)

    def closed(self) -> None:
        """The connection is gone."""
        self._commanding.closed()

    def drop(self) -> None:
        """Another gateway owns the base: send nothing, say nothing."""
        self._commanding.drop()
        self._requests.drop()
        self._departures.forget_all()

    def stop(self, now: Moment) -> list[Effect]:
        """The gateway stops: everything under way ends."""
        self._requests.stop(now)
        return self._commanding.stop(now)

    def take(self, message: MqttReceived, kind: Inbound, now: Moment) -> list[Effect]:
        """A message on one of our command topics."""
        match kind:
            case Inbound.SET:
                return self._commanding.take_set(message, now)
            case Inbound.GET:
                return self._commanding.take_get(message, now)
            case Inbound.KEYPAD_SET:
                return self._take_keypad(message, now)
            case _:
                admission = self._commanding.admission
                is_starting = admission.is_starting(now.monotonic)
                return self._requests.take(message, now, is_v5=admission.is_v5, is_starting=is_starting)

    def _take_keypad(self, message: MqttReceived, now: Moment) -> list[Effect]:
        admission = self._commanding.admission
        is_starting = admission.is_starting(now.monotonic)
        if self._cloud is None:
            return self._no_keypads.refuse_all(message, now, is_v5=admission.is_v5)
        nuki_id = self._commanding.find_device(self._tree.addressee(message.topic))
        return self._cloud.desk.take(message, nuki_id, now, is_v5=admission.is_v5, is_starting=is_starting)

    def delivered(self, marks: list[str], now: Moment) -> None:
        """The broker has these replies."""
        own = [mark for mark in marks if self._cloud is None or not self._cloud.desk.delivered(mark, now)]
        self._commanding.delivered(own)

    # --- After each event ---------------------------------------------------------------------------------------------

    def hear(self, now: Moment) -> list[Effect]:
        """Take in what following the Bridges brought, and tell what it means."""
        news = self._following.take_news()
        self._commanding.hear(news, now)
        if self._cloud is not None:
            self._cloud.hear(news, now)
        effects: list[Effect] = []
        for item in news:
            self._requests.hear(item, now)
            if isinstance(item, ListEnded) and item.devices is not None and item.is_complete:
                effects += self._bid_farewell(item.link, item.devices, now)
        return effects + self._commanding.tell(now) if news else []

    def _bid_farewell(self, link: str, devices: frozenset[NukiId], now: Moment) -> list[Effect]:
        """Remove what no Bridge has any more."""
        self._departures.listed(link, devices, self._topics.known, now.monotonic)
        effects: list[Effect] = []
        sources = [*self._following.followed] if self._cloud is None else [*self._following.followed, CLOUD]
        for nuki_id in self._departures.gone(sources, now.monotonic):
            if not self._commanding.is_under_way(nuki_id):
                who = "No Bridge" if self._cloud is None else "Neither a Bridge nor Nuki Web"
                text = f"{who} lists device {nuki_id} any more: it is removed, with its topics and entities."
                effects.append(Log(Level.WARNING, text))
                self._remove(nuki_id)
        return effects

    def settle(self, now: Moment) -> list[Effect]:
        """Do what is due."""
        self._requests.handle_timer(now)
        return self._commanding.settle(now)

    @property
    def is_steady(self) -> bool:
        """Whether `settle` has nothing to do before its deadline; a command under way may find a Bridge at any time."""
        return self._commanding.commands.under_way == 0

    def next_deadline(self) -> float | None:
        """When `settle` wants to be called."""
        times = (self._commanding.next_deadline(), self._requests.next_deadline())
        return min([time for time in times if time is not None], default=None)

    # --- Views --------------------------------------------------------------------------------------------------------

    def snapshot(self, nuki_id: NukiId, now: Moment) -> Snapshot:
        """What is to be shown of a device: what was seen, and what our own command lets us conclude."""
        snapshot = self._following.snapshot(nuki_id, now)
        derived = self._commanding.commands.derived_state(nuki_id)
        if derived is None or snapshot.stale:
            return snapshot
        return replace(snapshot, state_code=derived, derived=True)

    @property
    def has_something_to_show(self) -> bool:
        """Whether a message alone has changed what is to be shown."""
        has_findings = self._cloud is not None and self._cloud.history.has_findings
        return bool(self._removed or self._commanding.seen_anew) or self._commanding.has_told or has_findings

    def permitted(self, nuki_id: NukiId, device_type: int) -> frozenset[Action]:
        """What a device may be told."""
        return self._commanding.permitted(nuki_id, device_type)

    def take_seen_anew(self) -> set[NukiId]:
        """The devices that somebody asked to see anew, once."""
        self._commanding.has_told = False
        seen, self._commanding.seen_anew = self._commanding.seen_anew, set()
        return seen

    def take_removed(self) -> list[tuple[NukiId, str]]:
        """The devices that somebody removed, with their topics, once."""
        removed, self._removed = self._removed, []
        return removed

    # --- For requests -------------------------------------------------------------------------------------------------

    def _remove(self, nuki_id: NukiId) -> None:
        device = self._topics.known.pop(nuki_id, None)
        self._commanding.commands.forget(nuki_id)
        self._following.forget_device(nuki_id)
        self._departures.forget(nuki_id)
        if self._cloud is not None:
            self._cloud.forget(nuki_id)
        if device is not None:
            self._removed.append((nuki_id, device.topic))

    def _diagnose(self, now: Moment) -> dict[str, Any]:
        following = self._following
        shown = [nuki_id for nuki_id in following.shown_ids() if nuki_id in self._topics.known]
        return {
            "version": self._identity.version,
            "instance": self._identity.instance,
            "started": render_time(self._identity.started.wall),
            "now": render_time(now.wall),
            "clock_synchronised": now.is_synchronised,
            "clock_trusted": following.is_clock_trusted(now),
            "command_clock_skew_s": None if self.clock_skew_s is None else round(self.clock_skew_s),
            "settings": self._settings.render_public(),
            "bridges": [
                {
                    "address": link.place.link,
                    "id": None if link.bridge_id is None else str(link.bridge_id),
                    "online": following.vouching.is_bridge_online(name, now.monotonic),
                    "problem": link.problem,
                    "auth": None if link.ladder.proven is None else link.ladder.proven.value,
                    "callback": link.lease,
                    "queue": link.queue,
                    "busy_answers": link.busy_answers,
                    "forced_reads": link.forced_reads,
                    "lost_callbacks": following.watches[name].lost,
                    "clock_skew_s": None if link.facts.clock is None else round(link.facts.clock.skew_s, 1),
                }
                for name, link in following.links.items()
            ],
            "devices": [
                {"topic": self._topics.known[nuki_id].topic, **snapshot_body(self.snapshot(nuki_id, now))}
                for nuki_id in shown[:_MOST_DIAGNOSED]
            ],
            "cloud": None if self._cloud is None else diagnose_cloud(self._cloud, shown[:_MOST_DIAGNOSED], now),
            "commands_under_way": self._commanding.commands.under_way,
            "commands_remembered": len(self.journal),
        }
