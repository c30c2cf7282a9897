"""From what we know to what MQTT shall say.

Renders every topic of ours into `publications`, which keeps only differences. A difference in `seen`, the
source or the signal strength alone is said at most every 300 s.
"""

from dataclasses import dataclass, replace

from nuki2mqtt.gateway.bridge_link import BridgeLink
from nuki2mqtt.gateway.callback_lease import view_slots
from nuki2mqtt.gateway.discovery_form import DiscoveryForms
from nuki2mqtt.gateway.publications import Publications, Rank
from nuki2mqtt.gateway.vocabulary import DeviceMemory, Moment
from nuki2mqtt.gateway.web_link import WebHealth
from nuki2mqtt.model.action import Action
from nuki2mqtt.model.device import Feature, NukiId
from nuki2mqtt.model.event import DeviceEvent
from nuki2mqtt.model.state import Snapshot
from nuki2mqtt.protocol import homeassistant
from nuki2mqtt.protocol.homeassistant import DeviceFacts, DiscoveryContext
from nuki2mqtt.protocol.payloads import (
    OFFLINE,
    ONLINE,
    BridgeHealth,
    CloudHealth,
    DeviceListing,
    GatewayHealth,
    GatewayInfo,
    RetainedSnapshot,
    attribute_paths,
    render_attributes,
    render_availability,
    render_bridge,
    render_devices,
    render_event,
    render_gateway_info,
    render_health,
    render_snapshot,
)
from nuki2mqtt.protocol.settings import HomeAssistantSettings, Settings
from nuki2mqtt.protocol.settings_words import CommandTs, DiscoveryForm, Output
from nuki2mqtt.protocol.topics import TopicTree

QUIET_CHANGE_S = 300.0  # docs/topics.md, "Device"


@dataclass(slots=True)
class _Shown:
    """What was said, at a monotonic time; `snapshot` and `topic` are those of the last look, None to look anew.

    `core` is `said` without what may differ for a while.
    """

    said: Snapshot
    core: Snapshot
    at: float
    snapshot: Snapshot | None
    topic: str
    permitted: frozenset[Action]


class Projection:
    """Renders into the publications; holds only what was rendered last."""

    def __init__(
        self,
        settings: Settings,
        tree: TopicTree,
        publications: Publications,
        announcements: DiscoveryForms,
        version: str,
    ) -> None:
        self._settings = settings
        self._tree = tree
        self._publications = publications
        self._announcements = announcements
        self._shown: dict[NukiId, _Shown] = {}
        self._features: dict[NukiId, frozenset[Feature]] = {}
        self._remembered: set[str] = set()
        self._health: GatewayHealth | None = None
        self._waiting: list[int] = []
        self._health_payload = b""
        # What the rendered topics were rendered from: most reports change nothing.
        self._facts: dict[NukiId, DeviceFacts] = {}
        self._bridges: dict[str, tuple[object, ...]] = {}
        self._shown_bridges: dict[str, NukiId] = {}
        self._listed: tuple[DeviceListing, ...] | None = None
        self._discovery = DiscoveryContext(
            base_topic=tree.base,
            prefix=tree.prefix,
            version=version,
            open_states=settings.homeassistant.open_states,
            command_ts=_has_command_ts(settings.homeassistant),
        )

    # --- Devices ------------------------------------------------------------------------------------------------------

    def show_device(
        self, snapshot: Snapshot, topic: str, permitted: frozenset[Action], now: Moment, *, again: bool = False
    ) -> None:
        """Say a device's snapshot, then its availability; `again`: also if nothing differs.

        What an earlier process said of a device stays until this one knows its state.
        """
        if snapshot.source is None and (snapshot.bridge is None or topic in self._remembered):
            return
        shown = self._shown.get(snapshot.nuki_id)
        is_same = shown is not None and shown.snapshot is snapshot and shown.topic == topic
        if shown is not None and is_same and shown.permitted == permitted and not again:
            # All that follows was done with just this.
            if now.monotonic - shown.at < QUIET_CHANGE_S:
                return
            if shown.said is snapshot:
                shown.at = now.monotonic
                return
        core = replace(snapshot, seen=None, source=None, rssi_dbm=None)
        if again or shown is None or shown.core != core or now.monotonic - shown.at >= QUIET_CHANGE_S:
            shown = self._shown[snapshot.nuki_id] = _Shown(snapshot, core, now.monotonic, snapshot, topic, permitted)
            self._say_snapshot(snapshot, topic, again=again)
        shown.snapshot, shown.topic, shown.permitted = snapshot, topic, permitted
        is_online = not snapshot.stale
        said = self._tree.availability(topic), render_availability(is_online=is_online)
        self._publications.say(*said, Rank.DEVICE, is_last=True)
        self._discover_device(snapshot, topic, permitted)

    @property
    def owes_a_look(self) -> bool:
        """Whether something was seen that may wait for a while, and was not said yet."""
        return any(shown.said is not shown.snapshot for shown in self._shown.values())

    def _say_snapshot(self, snapshot: Snapshot, topic: str, *, again: bool) -> None:
        output = self._settings.mqtt.output
        if output is not Output.ATTRIBUTE:
            said = self._tree.device(topic), render_snapshot(snapshot)
            self._publications.say(*said, Rank.DEVICE, again=again)
        if output is not Output.JSON:
            for path, payload in render_attributes(snapshot).items():
                self._publications.say(self._tree.attribute(topic, path), payload, Rank.DEVICE, again=again)

    def show_remembered(self, nuki_id: NukiId, device: DeviceMemory, retained: RetainedSnapshot | None) -> None:
        """Say that we do not vouch for what an earlier process said; what it said stays readable."""
        self._remembered.add(device.topic)
        if self._settings.mqtt.output is not Output.ATTRIBUTE:
            empty = Snapshot(nuki_id=nuki_id, device_type=device.device_type, name=device.name)
            payload = render_snapshot(empty) if retained is None else retained.stale
            self._say(self._tree.device(device.topic), payload, Rank.DEVICE)
        if self._settings.mqtt.output is not Output.JSON:
            self._say(self._tree.attribute(device.topic, "stale"), b"true", Rank.DEVICE)
        for topic in self._unfed(device.topic):
            self._publications.clear(topic, Rank.DEVICE)
        self._say(self._tree.availability(device.topic), OFFLINE, Rank.DEVICE)

    def _unfed(self, topic: str) -> list[str]:
        """What another `mqtt.output` has fed below a device's topic: nobody would ever say it anew."""
        match self._settings.mqtt.output:
            case Output.JSON:
                return [self._tree.attribute(topic, path) for path in attribute_paths()]
            case Output.ATTRIBUTE:
                return [self._tree.device(topic)]
            case _:
                return []

    def tell_event(self, event: DeviceEvent, topic: str, received: float) -> None:
        """Say that something happened, of which we heard at a monotonic time."""
        late = self._tree.event_late(topic)
        now_or_late = late if event.is_old else self._tree.event(topic)
        self._publications.tell(now_or_late, late, render_event(event), received)

    def tell(self, topic: str, payload: bytes, received: float, *, is_old: bool) -> None:
        """Say an event that is rendered already, of which we heard at a monotonic time."""
        late = self._tree.event_late(topic)
        self._publications.tell(late if is_old else self._tree.event(topic), late, payload, received)

    def remove_device(self, nuki_id: NukiId, topic: str) -> None:
        """Take a device from the broker and from Home Assistant."""
        self.clear_device(topic)
        self._announcements.withdraw(homeassistant.device_topic(nuki_id, self._discovery))
        for known in (self._shown, self._features, self._facts):
            known.pop(nuki_id, None)
        self._remembered.discard(topic)

    def clear_device(self, topic: str) -> None:
        """Take a renamed device's old topics from the broker."""
        # A former process may have said its codes, whatever the settings are now.
        old = [self._tree.device(topic), self._tree.availability(topic), self._tree.keypad(topic)]
        if self._settings.mqtt.output is not Output.JSON:
            old += [self._tree.attribute(topic, path) for path in attribute_paths()]
        for name in old:
            self._say(name, b"", Rank.DEVICE)
        # Whoever has this topic now says all of it anew.
        for shown in self._shown.values():
            shown.snapshot = None

    def _discover_device(self, snapshot: Snapshot, topic: str, permitted: frozenset[Action]) -> None:
        seen = self._features.get(snapshot.nuki_id, frozenset()) | snapshot.features
        self._features[snapshot.nuki_id] = seen
        if not self._settings.homeassistant.enabled:
            return
        if self._settings.mqtt.output is Output.ATTRIBUTE:
            # The entities read the JSON snapshot: without it they would show what was last said there, for ever.
            self._announcements.withdraw(homeassistant.device_topic(snapshot.nuki_id, self._discovery))
            return
        facts = DeviceFacts(
            nuki_id=snapshot.nuki_id,
            device_type=snapshot.device_type,
            name=snapshot.name,
            firmware=snapshot.firmware,
            topic=topic,
            bridge=snapshot.bridge,
            features=seen,
            permitted=permitted,
        )
        if facts != self._facts.get(snapshot.nuki_id):
            self._facts[snapshot.nuki_id] = facts
            self._announcements.announce(homeassistant.render_device(facts, self._discovery))

    def show_devices(self, listings: tuple[DeviceListing, ...]) -> None:
        """Say the list of all devices that this process has seen."""
        if listings != self._listed:
            self._listed = listings
            self._say(self._tree.gateway_devices, render_devices(listings), Rank.GATEWAY)

    # --- Bridges and gateway ------------------------------------------------------------------------------------------

    def show_bridge(self, link: BridgeLink, *, is_online: bool) -> None:
        """Say what is known of a Bridge; nothing until its ID is known."""
        view = link.facts.view
        facts = (view, link.facts.started, link.own, is_online)
        if view is None or facts == self._bridges.get(link.link):
            return
        former = self._shown_bridges.get(link.link)
        if former is not None and former != view.bridge_id:
            self.show_bridge_offline(former)
        self._shown_bridges[link.link] = view.bridge_id
        self._bridges[link.link] = facts
        slots = None if view.slots is None else view_slots(view.slots, link.own)
        self._say(
            self._tree.bridge(view.bridge_id),
            render_bridge(view, started=link.facts.started, slots=slots),
            Rank.GATEWAY,
        )
        availability = render_availability(is_online=is_online)
        self._say(self._tree.bridge_availability(view.bridge_id), availability, Rank.GATEWAY)
        if self._settings.homeassistant.enabled:
            self._announcements.announce(homeassistant.render_bridge(view, self._discovery))

    def show_bridge_offline(self, bridge_id: NukiId) -> None:
        """Say that nothing is known of a Bridge now."""
        self._say(self._tree.bridge_availability(bridge_id), OFFLINE, Rank.DEVICE)

    def show_claim(self, info: GatewayInfo) -> None:
        """Say who speaks from now on."""
        self._say(self._tree.gateway_info, render_gateway_info(info), Rank.CLAIM)

    def show_gateway(self, info: GatewayInfo) -> None:
        """Say that we are here."""
        self._say(self._tree.gateway_state, ONLINE, Rank.GATEWAY_STATE)
        if self._settings.homeassistant.enabled:
            self._announcements.announce(homeassistant.render_gateway(info.instance, self._discovery))

    def show_gateway_again(self) -> None:
        """Say once more that we are here: somebody denied it."""
        for topic, rank in (
            (self._tree.gateway_info, Rank.CLAIM),
            (self._tree.gateway_state, Rank.GATEWAY_STATE),
            (self._tree.gateway_health, Rank.GATEWAY),
        ):
            payload = self._publications.said(topic)
            if payload is not None:
                self._publications.say(topic, payload, rank, again=True)

    def show_gateway_offline(self) -> None:
        """Say that we stop."""
        self._say(self._tree.gateway_state, OFFLINE, Rank.GATEWAY)

    def show_health(self, health: GatewayHealth, *, again: bool) -> None:
        """Say how we fare, at change and when the minute is over."""
        is_news = health != self._health
        if not again and not is_news:
            return
        waiting = [health.events_waiting, *[bridge.queue for bridge in health.bridges]]
        if is_news or waiting != self._waiting:
            self._health, self._waiting, self._health_payload = health, waiting, render_health(health)
        self._publications.say(self._tree.gateway_health, self._health_payload, Rank.GATEWAY, again=again)

    def _say(self, topic: str, payload: bytes, rank: Rank) -> None:
        self._publications.say(topic, payload, rank)


def bridge_health(link: BridgeLink, *, is_online: bool, lost_callbacks: int) -> BridgeHealth:
    """How one Bridge fares, for the health topic."""
    return BridgeHealth(
        bridge_id=link.bridge_id,
        address=link.place.link,
        is_reachable=is_online,
        busy_answers=link.busy_answers,
        forced_reads=link.forced_reads,
        lost_callbacks=lost_callbacks,
        unconfirmed_hints=link.unconfirmed_hints,
        callback=link.lease,
        clock_skew_s=None if link.facts.clock is None else round(link.facts.clock.skew_s),
        queue=link.queue,
        auth=None if link.ladder.proven is None else link.ladder.proven.value,
        problem=link.problem,
    )


def cloud_health(health: WebHealth) -> CloudHealth:
    """How the cloud fares, for the health topic."""
    return CloudHealth(
        is_reachable=health.reachable,
        problem=health.problem,
        requests=health.requests,
        failures=health.failures,
        throttled=health.throttled,
        forced_syncs=health.forced_syncs,
        scopes_missing=health.scopes_missing,
        refused_devices=health.refused_devices,
        queue=health.queue,
        poll_s=health.poll_s,
        has_webhooks=health.has_webhooks,
    )


def _has_command_ts(settings: HomeAssistantSettings) -> bool:
    """Who knows only the entity form may not know the template: there it must be asked for (docs/topics.md)."""
    is_auto = settings.command_ts is CommandTs.AUTO
    return settings.form is DiscoveryForm.DEVICE if is_auto else settings.command_ts is CommandTs.ON
