from pathlib import Path

from nuki2mqtt.adapters.container import is_in_container


def test_a_container_is_known_by_its_marker(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    assert not is_in_container([marker])
    marker.touch()
    assert is_in_container([marker])
