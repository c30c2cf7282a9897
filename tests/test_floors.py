"""The floors of docs/architecture.md: imports point only downwards, floors 0 to 2 are pure."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "nuki2mqtt"
FLOORS = {
    "model": 0,
    "errors": 0,
    "__init__": 0,
    "protocol": 1,
    "gateway": 2,
    "adapters": 3,
    "service": 4,
    "faces": 5,
    "__main__": 5,
}
FOREIGN_TO_PURE_FLOORS = frozenset(
    {"asyncio", "aiohttp", "aiomqtt", "paho", "os", "time", "random", "secrets", "logging", "pathlib", "socket"}
    | {"threading", "subprocess", "select", "signal", "shutil", "tempfile", "uuid"}
)
# Each of them reads a clock or chance that nobody passed in.
HIDDEN_CLOCKS = frozenset({"now", "utcnow", "today", "monotonic", "urandom"})
NOBODYS_NAMES = frozenset({"utils", "util", "common", "helpers", "helper", "base", "manager", "const", "constants"})

MODULES = sorted(PACKAGE.rglob("*.py"))
PURE = [path for path in MODULES if path.relative_to(PACKAGE).parts[0] in {"model", "protocol", "gateway", "errors.py"}]
SIMULATOR = [path for path in MODULES if path.relative_to(PACKAGE).parts[0] == "simulator"]


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Every module that a module imports, also inside functions, with relative ones made absolute."""
    here = ("nuki2mqtt", *path.relative_to(PACKAGE).with_suffix("").parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            head = ".".join(here[: -node.level]) if node.level else ""
            module = ".".join(part for part in (head, node.module) if part)
            if module in {"nuki2mqtt", "nuki2mqtt.adapters", "nuki2mqtt.protocol", "nuki2mqtt.gateway"}:
                yield from (f"{module}.{alias.name}" for alias in node.names)
            else:
                yield module


def own_rooms(path: Path) -> Iterator[str]:
    """The rooms of this package that a module imports."""
    for module in imported(path):
        parts = module.split(".")
        if parts[0] == "nuki2mqtt":
            room = parts[1] if len(parts) > 1 else "__init__"
            yield "__init__" if room.startswith("__version") or room == "__build_date__" else room


def test_the_walk_sees_the_package() -> None:
    assert {room_of(path) for path in MODULES} >= {"model", "errors", "protocol", "gateway", "adapters", "simulator"}
    assert set(own_rooms(PACKAGE / "gateway" / "projection.py")) == {"model", "protocol", "gateway"}


@pytest.mark.parametrize("path", [path for path in MODULES if path not in SIMULATOR], ids=name_of)
def test_imports_point_only_downwards(path: Path) -> None:
    floor = FLOORS[room_of(path)]

    assert {room for room in own_rooms(path) if FLOORS.get(room, 99) > floor} - {room_of(path)} == allowed(path)


def allowed(path: Path) -> set[str]:
    """The faces may start the simulated house: it is product code for those without hardware."""
    return {"simulator"} & set(own_rooms(path)) if room_of(path) in {"faces", "__main__"} else set()


@pytest.mark.parametrize("path", SIMULATOR, ids=name_of)
def test_the_simulator_knows_the_model_and_itself_only(path: Path) -> None:
    assert set(own_rooms(path)) <= {"model", "simulator"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_product_does_not_import_tests(path: Path) -> None:
    assert not [module for module in imported(path) if module.split(".")[0] == "tests"]


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_floors_0_to_2_import_no_outside_world(path: Path) -> None:
    assert {module.split(".")[0] for module in imported(path)} & FOREIGN_TO_PURE_FLOORS == set()


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_floors_0_to_2_read_no_hidden_clock(path: Path) -> None:
    calls = (node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    clocks = (
        f"{call.value.id}.{call.attr}()"
        for call in calls
        if isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name) and call.attr in HIDDEN_CLOCKS
        if call.value.id in {"datetime", "date", "time", "os"}
    )
    assert list(clocks) == []


@pytest.mark.parametrize("path", [path for path in PURE if "gateway" not in path.parts[:-1]], ids=name_of)
def test_floors_0_and_1_open_no_files(path: Path) -> None:
    calls = (node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))

    assert [call.id for call in calls if isinstance(call, ast.Name) and call.id in {"open", "print", "input"}] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_has_a_name_that_says_nothing(path: Path) -> None:
    assert {part.removesuffix(".py") for part in path.relative_to(PACKAGE).parts} & NOBODYS_NAMES == set()


FORBIDDEN_REQUESTS = {
    "SimpleLockRequest": "lockAction says what it means, with a type and without a wait",
    "SimpleUnlockRequest": "it opens a door with a knob (Bridge API 1.13.2 section 4.5)",
    "UnpairRequest": "never",
    "FactoryResetRequest": "never",
    "FirmwareUpdateRequest": "never",
}


@pytest.mark.parametrize("name", FORBIDDEN_REQUESTS)
def test_no_request_that_moves_a_door_or_destroys_is_made_anywhere(name: str) -> None:
    makers = [path for path in MODULES if "protocol" not in path.parts and name in path.read_text(encoding="utf-8")]
    assert makers == [], FORBIDDEN_REQUESTS[name]


def calls_of(path: Path, name: str) -> list[str]:
    """The calls that make one of these, by whatever way the name is reached."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    calls = [ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)]
    return [call for call in calls if call.rpartition(".")[2] == name]


def test_an_order_to_a_lock_is_made_in_exactly_one_place() -> None:
    above = [path for path in MODULES if "protocol" not in path.parts]
    named = [path for path in above if "LockActionRequest" in path.read_text(encoding="utf-8")]
    made = {name_of(path): calls for path in MODULES if (calls := calls_of(path, "LockActionRequest"))}

    carriers = ["gateway/bridge_jobs.py", "gateway/bridge_link.py"]
    assert [name_of(path) for path in named] == [*carriers, "gateway/command_routes.py"]
    assert made == {"gateway/command_routes.py": ["LockActionRequest"]}
