import pytest

from nuki2mqtt.gateway.callback_lease import is_container_internal


@pytest.mark.parametrize(
    ("local", "bridge", "expected"),
    [
        ("172.17.0.2", "192.168.1.50", True),
        ("10.89.0.7", "192.168.1.50", True),
        ("192.168.65.3", "192.168.1.50", True),
        ("192.168.65.3", "192.168.65.9", False),
        ("192.168.1.5", "192.168.1.50", False),
        ("172.17.0.2", "172.17.0.3", False),
        ("172.17.0.2", "172.18.0.3", True),
        ("172.17.0.2", "bridge.lan", True),
        ("10.1.2.3", "192.168.1.50", False),
        ("fd00::1", "192.168.1.50", False),
        ("172.17.0.2", "fd00::1", True),
        ("", "192.168.1.50", False),
    ],
)
def test_an_address_inside_a_container_is_known(local: str, bridge: str, *, expected: bool) -> None:
    assert is_container_internal(local, bridge) is expected
