"""What kind of house it is: its devices, Bridges and settings, drawn from the seed."""

import random
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any, Self

from nuki2mqtt.gateway.vocabulary import BridgeMemory
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_auth import AuthMode
from nuki2mqtt.protocol.settings import KeypadSettings, NukiWebSettings, WebhookSettings
from nuki2mqtt.protocol.settings_words import WebCommands
from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import House, SimulatedLock, SimulatedOpener

PORT = 8080
DOOR_PORT = 8321
TOKEN = "m4rkedT0ken"
FRONT, BACK, BELL = 0x1A2B3C4D, 0x1A2B3C4E, 0x2A2B3C4F
FLAT = 0x3A2B3C00
BASE = "nuki2mqtt"
FLATS = (0, 0, 3, 5)
WIFI = 0x4A2B3C00
WEB_TOKEN = "m4rkedCl0udT0ken"
WEBHOOK_SECRET = "m4rkedW3bh00k"
WEBHOOK_PATH = "/webhook/5ec7e7"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One gateway and the houses that it looks after; `is_learnt`: its Bridges were paired, and stand in no settings.

    The first house has a front door and perhaps a back door, a bell and a second Bridge that hears them all. Each of
    the other `flats` is a house with a Bridge and a door of its own. `permit_unlatch` False: unlatching is not
    permitted at the front door.

    `has_cloud`: all devices are in an account of Nuki's cloud, and `wifi_locks` more, of which no Bridge knows. Locks
    have a keypad then. How this cloud behaves where nobody knows it (`simulator/web.py`, `Conduct`) is drawn, too.
    """

    seed: int
    protocol: str = "5"
    list_s: int = 120
    first_bridges: int = 1
    flats: int = 0
    overlap: str = "reject"
    waits: bool = False
    ttl_s: int = 10
    permit_unlatch: bool = True
    has_back_door: bool = False
    has_bell: bool = True
    bare_opening: bool = False
    output: str = "json"
    is_learnt: bool = False
    has_cloud: bool = False
    wifi_locks: int = 0
    web_poll_s: int = 60
    web_commands: str = "when_no_bridge"
    has_webhooks: bool = False
    keeps_offline_writes: bool = True
    update_heals_ghosts: bool = False
    code_is_a_list: bool = False
    omits_defaults: bool = False

    host = "192.0.2.5"
    other_host = "192.0.2.6"
    moved_host = "192.0.2.7"
    stranger_host = "192.0.2.66"
    callback_secret = "5ec7e75ec7e75ec7e75ec7e75ec7e700"
    other_secret = "0fff1ce0fff1ce0fff1ce0fff1ce0ff1"
    confirm_s = 45
    min_gap_s = 0.5
    forced_per_day = 24

    @classmethod
    def draw(
        cls,
        seed: int,
        flats: int | None = None,
        list_s: int | None = None,
        *,
        is_learnt: bool = False,
        has_cloud: bool = False,
    ) -> Self:
        """The gateway of a seed, with so many flats and such a cadence unless the seed shall say."""
        drawn = cls._draw(seed, flats, list_s, is_learnt=is_learnt)
        return drawn._with_cloud() if has_cloud else drawn

    def _with_cloud(self) -> Self:
        """The same houses in the cloud: of chance of its own, so that the houses are those of the seed without it."""
        chance = random.Random(f"cloud {self.seed}")  # noqa: S311 - a seed is the point
        return replace(
            self,
            has_cloud=True,
            wifi_locks=chance.choice([0, 1, 1, 2]),
            web_poll_s=chance.choice([30, 60, 120]),
            web_commands=chance.choice([*WebCommands, WebCommands.WHEN_NO_BRIDGE]).value,
            has_webhooks=chance.random() < 0.5,
            keeps_offline_writes=chance.random() < 0.7,
            update_heals_ghosts=chance.random() < 0.3,
            code_is_a_list=chance.random() < 0.3,
            omits_defaults=chance.random() < 0.3,
        )

    @classmethod
    def _draw(cls, seed: int, flats: int | None, list_s: int | None, *, is_learnt: bool) -> Self:
        chance = random.Random(f"house {seed}")  # noqa: S311 - a seed is the point
        return cls(
            seed=seed,
            protocol=chance.choice(["5", "5", "3.1.1"]),
            list_s=chance.choice([120, 180, 300]) if list_s is None else list_s,
            first_bridges=chance.choice([1, 1, 2]),
            flats=chance.choice(FLATS) if flats is None else flats,
            overlap=chance.choice(["reject", "queue"]),
            waits=chance.random() < 0.2,
            ttl_s=chance.choice([10, 10, 5]),
            permit_unlatch=chance.random() < 0.7,
            has_back_door=chance.random() < 0.3,
            has_bell=chance.random() < 0.7,
            bare_opening=chance.random() < 0.3,
            output=chance.choice(["json", "json", "json", "both"]),
            is_learnt=is_learnt,
        )

    @property
    def bridges(self) -> int:
        """How many Bridges there are."""
        return self.first_bridges + self.flats

    @property
    def houses(self) -> int:
        """How many houses there are."""
        return 1 + self.flats

    def homes(self) -> list[tuple[list[int], list[str]]]:
        """Each house: the numbers of its Bridges, the topics of its devices."""
        own = ["front_door"] + ["back_door"] * self.has_back_door + ["bell"] * self.has_bell
        flats = [([self.first_bridges + number], [f"flat_{number + 1}"]) for number in range(self.flats)]
        return [(list(range(self.first_bridges)), own), *flats]

    @property
    def info_s(self) -> int:
        """Seconds between two scans."""
        return max(300, self.list_s)

    def as_json(self) -> dict[str, Any]:
        """For a trace."""
        return asdict(self)

    def bridge_host(self, number: int) -> str:
        """The configured address of a Bridge."""
        return f"192.0.2.{10 + number}"

    def moved_bridge_host(self, number: int) -> str:
        """Where a Bridge is for a while."""
        return f"192.0.2.{100 + number}"

    def rogue_host(self, number: int) -> str:
        """Where something else calls itself by its ID."""
        return f"192.0.2.{150 + number}"

    def bridge_id(self, number: int) -> int:
        """The ID of a Bridge."""
        return 0x0A1B2C3D + number

    def pairings(self) -> dict[str, BridgeMemory]:
        """What `nuki2mqtt pair` has left in the state file, where no Bridge is in the settings."""
        return {
            f"{self.bridge_host(number)}:{PORT}": BridgeMemory(
                NukiId(self.bridge_id(number)), Secret(f"{TOKEN}{number}"), AuthMode.ENCRYPTED
            )
            for number in range(self.bridges if self.is_learnt else 0)
        }

    def config(self) -> str:
        """The settings, as a user writes them."""
        listed = "".join(
            f"  - {{host: {self.bridge_host(number)}, token: {TOKEN}{number}}}\n" for number in range(self.bridges)
        )
        bridges = "" if self.is_learnt else f"bridges:\n{listed}"
        permit = "" if self.permit_unlatch else "devices:\n  1A2B3C4D: {permit: [lock, unlock]}\n"
        return (
            "version: 1\n"
            f"mqtt: {{host: 192.0.2.2, protocol: '{self.protocol}', output: {self.output}, password: m4rkedPa55}}\n"
            f"{bridges}"
            f"poll: {{list_s: {self.list_s}, info_s: {self.info_s}}}\n"
            f"commands: {{overlap: {self.overlap}, wait: {str(self.waits).lower()}, ttl_s: {self.ttl_s},"
            f" confirm_s: {self.confirm_s}, bare_opening: {str(self.bare_opening).lower()}}}\n"
            f"{permit}"
        )

    def web_settings(self) -> NukiWebSettings:
        """Those of the cloud."""
        return NukiWebSettings(
            token=Secret(WEB_TOKEN) if self.has_cloud else None,
            poll_s=float(self.web_poll_s),
            commands=WebCommands(self.web_commands),
            keypad=KeypadSettings(manage=self.has_cloud),
            webhook=WebhookSettings(secret=Secret(WEBHOOK_SECRET), path=WEBHOOK_PATH)
            if self.has_webhooks
            else WebhookSettings(),
        )

    def make_wifi_locks(self) -> list[tuple[str, SimulatedLock]]:
        """The locks of which no Bridge knows, by their topics; they are in the first house."""
        return [
            (
                f"wi_fi_{number + 1}",
                SimulatedLock(
                    nuki_id=WIFI + number,
                    name=f"Wi-Fi {number + 1}",
                    device_type=5,
                    door=2,
                    firmware="5.1.2",
                    keypad_critical=False,
                ),
            )
            for number in range(self.wifi_locks)
        ]

    def make_devices(self) -> list[tuple[str, SimulatedLock | SimulatedOpener]]:
        """The devices by their topics."""
        devices: list[tuple[str, SimulatedLock | SimulatedOpener]] = [
            ("front_door", SimulatedLock(nuki_id=FRONT, name="Front door", door=2)),
        ]
        if self.has_back_door:
            devices.append(("back_door", SimulatedLock(nuki_id=BACK, name="Back door", device_type=0)))
        if self.has_bell:
            devices.append(("bell", SimulatedOpener(nuki_id=BELL, name="Bell")))
        for number in range(self.flats):
            name = f"Flat {number + 1}"
            devices.append((f"flat_{number + 1}", SimulatedLock(nuki_id=FLAT + number, name=name, door=2)))
        return devices

    def make_bridge(self, house: House, number: int) -> SimulatedBridge:
        """One of the Bridges; those of the first house hear the same devices, the second one worse."""
        is_first = number < self.first_bridges
        flat = FLAT + number - self.first_bridges
        bridge = SimulatedBridge(
            house,
            hardware_id=self.bridge_id(number),
            server_id=self.bridge_id(number) + 0x1000,
            token=f"{TOKEN}{number}",
            paired={FRONT, BACK, BELL} if is_first else {flat},
        )
        bridge.rssi_offset_db = -10 * number if is_first else 0
        return bridge

    def is_own_url(self, url: str) -> bool:
        """Whether a callback URL is one of our computers'."""
        hosts = (self.host, self.other_host, self.moved_host)
        return any(url.startswith(f"http://{host}:{DOOR_PORT}/callback/") for host in hosts)

    def secrets(self) -> tuple[str, ...]:
        """What must be seen nowhere: tokens, the password, and the paths at which Bridges knock."""
        seeds = (self.callback_secret, self.other_secret)
        links = [f"{self.bridge_host(number)}:{PORT}" for number in range(self.bridges)]
        paths = [sha256(f"{seed} {link}".encode()).hexdigest()[:32] for seed in seeds for link in links]
        of_cloud = (WEB_TOKEN, WEBHOOK_SECRET) if self.has_cloud else ()
        return (TOKEN, "m4rkedPa55", *seeds, *paths, *of_cloud)
