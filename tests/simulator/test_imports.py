"""The simulator writes the wire format itself: a mistake in our codecs must not cancel out."""

import ast
from pathlib import Path

import pytest

import nuki2mqtt.simulator

_MODULES = sorted(Path(str(nuki2mqtt.simulator.__file__)).parent.rglob("*.py"))
_ALLOWED = ("nuki2mqtt.model", "nuki2mqtt.simulator")
_PURE_FORBIDDEN = {"asyncio", "aiohttp", "time", "random", "os", "socket"}
_SHELLS = {"server.py", "control.py", "estate.py", "announcer.py", "listening.py", "web_server.py"}


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {path.name}"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", _MODULES, ids=lambda path: str(path.name))
def test_of_our_own_only_the_model_is_imported(path: Path) -> None:
    own = {name for name in _imports(path) if name.startswith("nuki2mqtt")}
    assert {name for name in own if not name.startswith(_ALLOWED)} == set()


@pytest.mark.parametrize(
    "path", [path for path in _MODULES if path.name not in _SHELLS], ids=lambda path: str(path.name)
)
def test_all_but_the_shells_are_pure(path: Path) -> None:
    assert {name.partition(".")[0] for name in _imports(path)} & _PURE_FORBIDDEN == set()
