"""What is said on MQTT while we own the base topic: the first words, then what is seen, then the last ones.

Made anew when the base was another gateway's in between: the next announcement is a first one again.
"""

from collections.abc import Mapping

from nuki2mqtt.gateway.bridge_link import BridgeLink
from nuki2mqtt.gateway.broker_session import BrokerSession
from nuki2mqtt.gateway.cloud import Cloud
from nuki2mqtt.gateway.discovery_form import DiscoveryForms
from nuki2mqtt.gateway.following import Following
from nuki2mqtt.gateway.identity import Identity
from nuki2mqtt.gateway.projection import Projection, bridge_health, cloud_health
from nuki2mqtt.gateway.publications import Publications
from nuki2mqtt.gateway.taking import Taking
from nuki2mqtt.gateway.topic_memory import TopicMemory
from nuki2mqtt.gateway.vocabulary import Moment
from nuki2mqtt.model.action import Action
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.activity_payloads import render_finding
from nuki2mqtt.protocol.payloads import BridgeHealth, DeviceListing, GatewayHealth, GatewayInfo
from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.protocol.topics import TopicTree

HEALTH_S = 60.0


class Telling:
    """Says what the other parts know, into the publications."""

    def __init__(
        self,
        settings: Settings,
        identity: Identity,
        tree: TopicTree,
        publications: Publications,
        topics: TopicMemory,
        cloud: Cloud | None = None,
    ) -> None:
        self._cloud = cloud
        self.has_announced = False
        self._settings = settings
        self._identity = identity
        self._publications = publications
        self._topics = topics
        self._announcements = DiscoveryForms(publications, topics.announced, settings.homeassistant.form)
        self._projection = Projection(settings, tree, publications, self._announcements, identity.version)
        self._is_holding = False
        self._health_at = 0.0
        self._listed: dict[NukiId, tuple[tuple[object, ...], DeviceListing]] = {}  # with what they were made of
        self._bridge_healths: dict[str, tuple[tuple[object, ...], BridgeHealth]] = {}  # with what they were made of

    def announce(self, session: BrokerSession, following: Following) -> None:
        """Speak on a new connection; on the first one everything is told as stale before we say that we are online."""
        info = GatewayInfo(
            version=self._identity.version,
            instance=self._identity.instance,
            started=self._identity.started.wall,
            protocol=session.protocol or "",
            settings=self._settings.render_public(),
            sources=("bridge",) if self._cloud is None else ("bridge", "web"),
        )
        self._projection.show_claim(info)
        if not self.has_announced:
            self.has_announced = True
            # What this process has already seen follows when the broker has that.
            self._is_holding = True
            self._topics.learn_retained(session.snapshots, following.devices)
            by_id = {retained.nuki_id: retained for retained in session.snapshots.values()}
            for nuki_id, device in self._topics.remembered():
                self._projection.show_remembered(nuki_id, device, by_id.get(nuki_id))
            remembered = {link.bridge_id for link in following.links.values() if link.bridge_id is not None}
            for bridge_id in sorted(remembered | session.bridges):
                self._projection.show_bridge_offline(bridge_id)
            session.forget_snapshots()
        self._projection.show_gateway(info)
        self._publications.opened()

    def say_all_again(self) -> None:
        """Somebody denied us, and may have spoken in our devices' names, too."""
        self._projection.show_gateway_again()
        self._publications.say_again(lambda _: True)

    def say_offline(self) -> None:
        """The last word before we stop."""
        self._projection.show_gateway_offline()

    def next_deadline(self) -> float | None:
        """When the next minute's health is due, or something is to be left out of an announcement."""
        left_out_at = self._announcements.next_deadline()
        if not self.has_announced or self._is_holding:
            return left_out_at
        return self._health_at if left_out_at is None else min(left_out_at, self._health_at)

    def tell(
        self,
        session: BrokerSession,
        following: Following,
        taking: Taking,
        state_file: str | None,
        now: Moment,
        *,
        may_show: bool,
        by: str | None = None,
    ) -> bool:
        """Say what differs; True when a minute was over.

        `may_show`: something may differ at all. `by`: only what this link tells of.
        """
        self._announcements.finish(now.monotonic)
        was_holding = self._is_holding
        if was_holding and self._publications.is_idle:
            self._is_holding = False
        is_minute_over = now.monotonic >= self._health_at
        if was_holding or (is_minute_over and self._projection.owes_a_look):
            may_show, by = True, None
        if not self.has_announced or self._is_holding:
            return False
        if not (may_show or is_minute_over):
            if self._cloud is not None:
                self._cloud.desk.show()
            return False
        if may_show:
            self._tell_seen(following, taking, now, by)
        if is_minute_over:
            self._health_at = now.monotonic + HEALTH_S
            self._publications.say_refused_again()
        self._projection.show_health(self._health(session, following, taking, state_file, now), again=is_minute_over)
        return is_minute_over

    def _tell_seen(self, following: Following, taking: Taking, now: Moment, by: str | None) -> None:
        for nuki_id, topic in taking.take_removed():
            self._projection.remove_device(nuki_id, topic)
        seen_anew, is_told_by = taking.take_seen_anew(), following.devices.is_told_by
        looked_at = (one for one in following.shown_ids() if by is None or one in seen_anew or is_told_by(one, by))
        snapshots = [taking.snapshot(nuki_id, now) for nuki_id in looked_at]
        for topic in self._topics.assign(snapshots):
            self._projection.clear_device(topic)
        for name in following.links if by is None else (by,):
            is_online = following.vouching.is_bridge_online(name, now.monotonic)
            self._projection.show_bridge(following.links[name], is_online=is_online)
        permitted = {one.nuki_id: taking.permitted(one.nuki_id, one.device_type) for one in snapshots}
        for snapshot in snapshots:
            topic = self._topics.known[snapshot.nuki_id].topic
            again = snapshot.nuki_id in seen_anew
            self._projection.show_device(snapshot, topic, permitted[snapshot.nuki_id], now, again=again)
        self._projection.show_devices(self._listings(following, taking, permitted))
        for happening in following.take_events():
            topic = self._topics.known[happening.nuki_id].topic
            self._projection.tell_event(happening.event, topic, happening.received)
        if self._cloud is not None:
            self._tell_cloud(self._cloud, now)

    def _tell_cloud(self, cloud: Cloud, now: Moment) -> None:
        cloud.desk.show()
        for found in cloud.history.take_findings():
            finding = found.finding
            device = self._topics.known.get(finding.nuki_id)
            if device is not None:
                payload = render_finding(finding.event_type, finding.activity, cloud.history.names, now.wall)
                self._projection.tell(device.topic, payload, found.received, is_old=finding.is_old)

    def _listings(
        self, following: Following, taking: Taking, looked_at: Mapping[NukiId, frozenset[Action]]
    ) -> tuple[DeviceListing, ...]:
        """All devices that this process has seen; what those that were looked at may be told is known."""
        known, type_of = self._topics.known, following.devices.device_type
        listings: dict[NukiId, tuple[tuple[object, ...], DeviceListing]] = {}
        for nuki_id in following.shown_ids():
            if nuki_id not in known:
                continue
            device, device_type = known[nuki_id], type_of(nuki_id)
            permitted = looked_at.get(nuki_id)
            permitted = taking.permitted(nuki_id, device_type) if permitted is None else permitted
            sources = ("bridge",) if self._cloud is None else self._cloud.sources(nuki_id)
            made_of = (device, device_type, permitted, sources)
            former = self._listed.get(nuki_id)
            if former is not None and former[0] == made_of:
                listings[nuki_id] = former
                continue
            listing = DeviceListing(
                nuki_id=nuki_id,
                name=device.name,
                topic=device.topic,
                device_type=device_type,
                permitted=permitted,
                sources=sources,
            )
            listings[nuki_id] = made_of, listing
        self._listed = listings
        return tuple(listing for _, listing in listings.values())

    def _health(
        self,
        session: BrokerSession,
        following: Following,
        taking: Taking,
        state_file: str | None,
        now: Moment,
    ) -> GatewayHealth:
        is_online, watches = following.vouching.is_bridge_online, following.watches
        bridges = [
            self._bridge_health(link, is_online=is_online(name, now.monotonic), lost_callbacks=watches[name].lost)
            for name, link in following.followed.items()
        ]
        return GatewayHealth(
            instance=self._identity.instance,
            started=self._identity.started.wall,
            bridges=tuple(bridges),
            protocol=session.protocol,
            connections_lost=session.losses,
            events_waiting=self._publications.events_waiting,
            events_dropped=self._events_dropped(following),
            state_file=state_file,
            needs_pairing=following.needs_pairing,
            command_clock_skew_s=None if taking.clock_skew_s is None else round(taking.clock_skew_s),
            cloud=None if self._cloud is None else cloud_health(self._cloud.health(now.monotonic)),
        )

    def _events_dropped(self, following: Following) -> int:
        findings = 0 if self._cloud is None else self._cloud.history.findings_dropped
        return self._publications.events_dropped + following.events_dropped + findings

    def _bridge_health(self, link: BridgeLink, *, is_online: bool, lost_callbacks: int) -> BridgeHealth:
        """How one Bridge fares; the same object as long as nothing of it differs, as after most events."""
        made_of = (
            link.place.link,
            link.bridge_id,
            is_online,
            link.busy_answers,
            link.forced_reads,
            lost_callbacks,
            link.unconfirmed_hints,
            link.lease,
            link.facts.clock,
            link.queue,
            link.ladder.proven,
            link.problem,
        )
        former = self._bridge_healths.get(link.link)
        if former is not None and former[0] == made_of:
            return former[1]
        health = bridge_health(link, is_online=is_online, lost_callbacks=lost_callbacks)
        self._bridge_healths[link.link] = made_of, health
        return health
