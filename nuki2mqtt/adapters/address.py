"""Internet addresses in one spelling, so that two of them can be compared."""

from ipaddress import IPv4Address, IPv6Address, ip_address


def plain_address(text: str) -> str | None:
    """The address without IPv4 mapping and without scope id; None where the text is not an address."""
    address = parse_address(text)
    return None if address is None else str(address)


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address (brackets, scope ids and IPv4-mapped ones are understood); None where it is none."""
    try:
        address = ip_address(text.removeprefix("[").removesuffix("]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_local(text: str) -> bool:
    """Whether an address belongs to a house or its machines: private, link-local or loopback."""
    address = parse_address(text)
    return address is not None and (address.is_private or address.is_link_local or address.is_loopback)
