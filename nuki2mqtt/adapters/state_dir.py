"""Where settings and state are found; loads nothing large, since `nuki2mqtt health` needs it."""

import os
from collections.abc import Mapping
from pathlib import Path

from nuki2mqtt.adapters.container import is_in_container

HEARTBEAT = "heartbeat"
CONFIG_VARIABLE = "NUKI2MQTT_CONFIG"


def config_path(chosen: str | None, environ: Mapping[str, str]) -> Path:
    """The settings file: the chosen one, the variable's, or `config.yaml` in the working folder."""
    return Path(chosen or environ.get(CONFIG_VARIABLE) or "config.yaml")


def default_state_dir(
    environ: Mapping[str, str],
    platform: str,
    *,
    is_root: bool | None = None,
    in_container: bool | None = None,
    data: Path = Path("/data"),
) -> Path:
    """Where the state lives when nothing else is said; `platform` as in `sys.platform`."""
    if (is_in_container() if in_container is None else in_container) and data.is_dir():
        return data
    if os.geteuid() == 0 if is_root is None else is_root:
        return Path("/var/lib/nuki2mqtt")
    home = Path(environ.get("HOME") or "~").expanduser()
    base = Path(environ.get("XDG_STATE_HOME") or "")
    if base.is_absolute():  # the XDG specification ignores relative ones
        return base / "nuki2mqtt"
    if platform == "darwin":
        return home / "Library" / "Application Support" / "nuki2mqtt"
    return home / ".local" / "state" / "nuki2mqtt"
