"""`nuki2mqtt health`: whether the service on this machine makes progress.

Reads one small file and loads nothing large: a container's health check starts it again and again.
"""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from nuki2mqtt.adapters.heartbeat import is_fresh
from nuki2mqtt.adapters.state_dir import HEARTBEAT, config_path, default_state_dir

# The usual file does not set it; any other spelling is left to the reader of all settings.
_UNSET = re.compile(r"^state_dir:[ \t]*(null|~)?[ \t]*(#.*)?$", re.MULTILINE)


def run_health(arguments: list[str]) -> int:
    """Exit status 0 if the service lives, 1 if not."""
    parser = argparse.ArgumentParser(
        prog="nuki2mqtt health",
        description="Says whether the service on this machine makes progress. Needs the service's state folder.",
        epilog="Example: nuki2mqtt health && echo alive. Exit status: 0 alive, 1 not.",
    )
    parser.add_argument("--config", metavar="FILE", help="settings file, if not the usual one")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="one setting over the file")
    parser.add_argument("--state-dir", metavar="DIR", help="the service's state folder, if not the usual one")
    options = parser.parse_args(arguments)
    folder = Path(options.state_dir) if options.state_dir else find_state_dir(options.config, options.set)
    if is_fresh(folder / HEARTBEAT):
        print("alive")
        return 0
    text = f"no sign of life in {folder}: look at the service's log, or name its state folder with --state-dir"
    print(text, file=sys.stderr)
    return 1


def find_state_dir(config: str | None, overrides: Sequence[str] = ()) -> Path:
    """The state folder as the service finds it; all settings are read only where one of them may be it."""
    if not overrides and "NUKI2MQTT_STATE_DIR" not in os.environ:
        try:
            text = config_path(config, os.environ).read_text(encoding="utf-8")
        except (OSError, ValueError):
            text = ""
        if "state_dir" not in _UNSET.sub("", "\n".join(_without_comments(text))):
            return default_state_dir(os.environ, sys.platform)
    from nuki2mqtt.errors import SettingsError  # noqa: PLC0415 - large
    from nuki2mqtt.faces.setup import load  # noqa: PLC0415 - large

    try:
        return load(argparse.Namespace(config=config, set=list(overrides))).state_dir
    except SettingsError:
        return default_state_dir(os.environ, sys.platform)


def _without_comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.lstrip().startswith("#")]
