"""`nuki2mqtt health`: whether the service on this machine makes progress.

Reads one small file and loads nothing large: a container's health check starts it again and again.
"""

import argparse
import os
import re
import sys
from pathlib import Path

from nuki2mqtt.adapters.heartbeat import is_fresh
from nuki2mqtt.adapters.state_dir import HEARTBEAT, config_path, default_state_dir

_STATE_DIR = re.compile(r"^state_dir:\s*[\"']?([^\"'#\s]+)", re.MULTILINE)


def run_health(arguments: list[str]) -> int:
    """Exit status 0 if the service lives, 1 if not."""
    parser = argparse.ArgumentParser(
        prog="nuki2mqtt health",
        description="Says whether the service on this machine makes progress. Needs the service's state folder.",
        epilog="Example: nuki2mqtt health && echo alive. Exit status: 0 alive, 1 not.",
    )
    parser.add_argument("--config", metavar="FILE", help="settings file, if not the usual one")
    parser.add_argument("--state-dir", metavar="DIR", help="the service's state folder, if not the usual one")
    options = parser.parse_args(arguments)
    folder = Path(options.state_dir) if options.state_dir else find_state_dir(options.config)
    if is_fresh(folder / HEARTBEAT):
        print("alive")
        return 0
    text = f"no sign of life in {folder}: look at the service's log, or name its state folder with --state-dir"
    print(text, file=sys.stderr)
    return 1


def find_state_dir(config: str | None) -> Path:
    """The state folder as the service finds it, without reading all settings."""
    configured = os.environ.get("NUKI2MQTT_STATE_DIR")
    if configured is None:
        try:
            found = _STATE_DIR.search(config_path(config, os.environ).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = None
        configured = found[1] if found is not None and found[1] not in {"null", "~"} else None
    return Path(configured) if configured else default_state_dir(os.environ, sys.platform)
