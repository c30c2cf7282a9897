"""What `/info` and `/callback/list` have told of one Bridge: its view, its clock, its last boot."""

from dataclasses import replace
from datetime import datetime, timedelta

from nuki2mqtt.gateway.bridge_clock import TOLERANCE_S, BridgeClock
from nuki2mqtt.gateway.vocabulary import Moment
from nuki2mqtt.model.bridge import BridgeView, CallbackSlot
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.bridge_api import InfoAnswer
from nuki2mqtt.protocol.settings import BridgeSettings

_UPTIME_WOBBLE_S = 20.0  # whole seconds, and an answer's way of up to 15 s


class BridgeFacts:
    """The last of each. `was_rebooted` and `was_clock_set` are about the time since the answer before."""

    def __init__(self, settings: BridgeSettings) -> None:
        self.view: BridgeView | None = None
        self.clock: BridgeClock | None = None
        self.started: datetime | None = None
        self.was_rebooted = False
        self.was_clock_set = False
        self.settings = settings  # where it is now
        self._booted: float | None = None

    def read(self, bridge_id: NukiId, answer: InfoAnswer, sent: float, now: Moment) -> None:
        """Take in an `/info` that was asked for at this monotonic time."""
        if answer.current_time is not None:
            self._read_clock(answer.current_time, now, travelled_s=now.monotonic - sent)
        if answer.uptime_s is not None:
            booted = now.monotonic - answer.uptime_s
            # The uptime may have passed its last value again since a boot; the time of the boot tells.
            self.was_rebooted = self._booted is not None and booted > self._booted + _UPTIME_WOBBLE_S
            if self._booted is None or abs(booted - self._booted) > _UPTIME_WOBBLE_S:
                self._booted = booted
                self.started = now.wall - timedelta(seconds=answer.uptime_s)
        self.view = BridgeView(
            bridge_id=bridge_id,
            host=self.settings.host,
            port=self.settings.port,
            bridge_type=answer.bridge_type,
            firmware=answer.firmware,
            wifi_firmware=answer.wifi_firmware,
            app_version=answer.app_version,
            uptime_s=answer.uptime_s,
            wlan_connected=answer.wlan_connected,
            cloud_connected=answer.server_connected,
            slots=None if self.view is None else self.view.slots,
        )

    def saw_slots(self, slots: tuple[CallbackSlot, ...]) -> None:
        """Take in who is called back."""
        if self.view is not None:
            self.view = replace(self.view, slots=slots)

    def _read_clock(self, current_time: datetime, now: Moment, *, travelled_s: float) -> None:
        clock = BridgeClock.read(current_time, now, travelled_s=travelled_s)
        if self.clock is None or travelled_s <= TOLERANCE_S:
            self.was_clock_set = self.clock is not None and not clock.agrees_with(self.clock)
            self.clock = clock
        elif not clock.agrees_with(self.clock, travelled_s):
            # A slow answer says little of the time, but this much it says.
            self.was_clock_set, self.clock = True, clock
