"""What every verb needs first: its options, the settings, the state folder."""

import argparse
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from nuki2mqtt.adapters.embedded_broker import reach_embedded
from nuki2mqtt.adapters.state_dir import CONFIG_VARIABLE, config_path, default_state_dir
from nuki2mqtt.errors import SettingsError, SettingsProblem
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.protocol.settings_reader import read_settings

_MAX_BYTES = 1_048_577  # settings.md: more than 1 MiB is refused

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_IN_USE = 75  # EX_TEMPFAIL of sysexits.h: another process uses the state folder
EXIT_INTERRUPTED = 130  # as shells say it
EXIT_SETTINGS = 78  # EX_CONFIG of sysexits.h


@dataclass(frozen=True, slots=True)
class Setup:
    """The settings and where the state lives."""

    settings: Settings
    state_dir: Path

    @property
    def secrets(self) -> list[Secret]:
        """All secrets that the settings hold."""
        settings = self.settings
        web = settings.nuki_web
        found = [settings.mqtt.password, web.token, web.webhook.secret, settings.web.password]
        found += [bridge.token for bridge in settings.bridges]
        return [secret for secret in found if secret is not None]


def add_common_options(parser: argparse.ArgumentParser, *, is_verb: bool) -> None:
    """The options that every verb has, before it or behind it."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=argparse.SUPPRESS if is_verb else None,
        help=f"settings file (default: ${CONFIG_VARIABLE} or config.yaml)",
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        dest="set_behind" if is_verb else "set",
        default=[],
        help="one setting over file and environment, e.g. --set mqtt.host=192.0.2.2 (visible to other users of this "
        "machine: give secrets by file or environment)",
    )


def load(options: argparse.Namespace) -> Setup:
    """Read the settings; raises SettingsError."""
    path = config_path(options.config, os.environ)
    text, trouble = None, None
    try:
        text = _read_text(path)
    except FileNotFoundError:
        trouble = None if options.config is None else "there is no such file"
    except OSError as error:
        trouble = f"cannot be read: {error.strerror}"
    except UnicodeError:
        trouble = "cannot be read: it is not UTF-8 text"
    if trouble is not None:  # here, outside of any handler: an error that hangs on to it would hold the whole file
        raise SettingsError((SettingsProblem(str(path), trouble),))
    overrides: dict[str, str] = {}
    for item in [*options.set, *getattr(options, "set_behind", [])]:
        key, separator, value = item.partition("=")
        if not separator:
            raise SettingsError((SettingsProblem("--set", "needs KEY=VALUE"),))
        overrides[key] = value
    settings = read_settings(
        text, file_name=path.name, environ=os.environ, overrides=overrides, read_file=_read_secret_file
    )
    settings = replace(settings, mqtt=reach_embedded(settings.mqtt))
    folder = Path(settings.state_dir) if settings.state_dir else default_state_dir(os.environ, sys.platform)
    return Setup(settings, folder)


def _read_secret_file(name: str) -> str:
    return _read_text(Path(name))


def _read_text(path: Path) -> str:
    # Bounded, for it may be a device that never ends; one byte too many tells the reader of it.
    with path.open("rb") as file:
        return file.read(_MAX_BYTES).decode()


def say_settings_error(error: SettingsError) -> int:
    """Print all mistakes; returns the exit status."""
    for problem in error.problems:
        print(problem, file=sys.stderr)
    return EXIT_SETTINGS
