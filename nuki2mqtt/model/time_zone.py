"""The time zones that a lock can be set to, as the names of the time zone database.

Source: web reference 5, "Time zone ids" (numbers 0 to 3 in Nuki's key API concepts, all of them in NukiBleEsp32's
constants, and the Web API's description has 45 as the highest). Only names live here: the rules of a zone are files of
the computer, so that whoever needs them is given a `tzinfo`.
"""

NO_TIME_ZONE = 65535

_NAMES = (
    "Africa/Cairo",
    "Africa/Lagos",
    "Africa/Maputo",
    "Africa/Nairobi",
    "America/Anchorage",
    "America/Argentina/Buenos_Aires",
    "America/Chicago",
    "America/Denver",
    "America/Halifax",
    "America/Los_Angeles",
    "America/Manaus",
    "America/Mexico_City",
    "America/New_York",
    "America/Phoenix",
    "America/Regina",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Asia/Bangkok",
    "Asia/Dubai",
    "Asia/Hong_Kong",
    "Asia/Jerusalem",
    "Asia/Karachi",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Riyadh",
    "Asia/Seoul",
    "Asia/Shanghai",
    "Asia/Tehran",
    "Asia/Tokyo",
    "Asia/Yangon",
    "Australia/Adelaide",
    "Australia/Brisbane",
    "Australia/Darwin",
    "Australia/Hobart",
    "Australia/Perth",
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/Helsinki",
    "Europe/Istanbul",
    "Europe/London",
    "Europe/Moscow",
    "Pacific/Auckland",
    "Pacific/Guam",
    "Pacific/Honolulu",
    "Pacific/Pago_Pago",
)
TIME_ZONE_NAMES: dict[int, str] = dict(enumerate(_NAMES))


def time_zone_name(time_zone_id: int | None) -> str | None:
    """The name that belongs to a lock's `timezoneId`; None for none, and for numbers that no document names."""
    return None if time_zone_id is None else TIME_ZONE_NAMES.get(time_zone_id)
