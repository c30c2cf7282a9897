"""What is known of one Nuki Bridge."""

from dataclasses import dataclass, field

from nuki2mqtt.model.device import NukiId

HARDWARE_BRIDGE = 1  # Bridge API 1.13.2 section 5, /info
SOFTWARE_BRIDGE = 2


@dataclass(frozen=True, slots=True)
class CallbackSlot:
    """One of the three callback slots: its number and the URL in it (which may contain a secret, and is not shown)."""

    id: int
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeView:
    """The last `/info` and `/callback/list` of a Bridge; None is "not known"."""

    bridge_id: NukiId
    host: str
    port: int
    bridge_type: int | None = None
    firmware: str | None = None
    wifi_firmware: str | None = None
    app_version: str | None = None
    uptime_s: int | None = None
    wlan_connected: bool | None = None
    cloud_connected: bool | None = None
    slots: tuple[CallbackSlot, ...] | None = None

    @property
    def name(self) -> str:
        """The name that the Bridge gives itself by DHCP (reference: Home Assistant's matcher)."""
        return f"Nuki_Bridge_{self.bridge_id}"
