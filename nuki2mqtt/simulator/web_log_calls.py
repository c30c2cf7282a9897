"""The cloud's calls about the log: newest first, paged by the id of the last row. Pure.

Source: reference of the Web API, section 2.3. `offset` and other unknown parameters are passed over, as they were seen
to be; more than 50 rows at a time are not to be had, and nobody is told so.
"""

from collections.abc import Iterator
from itertools import dropwhile, islice
from typing import TYPE_CHECKING, NamedTuple

from nuki2mqtt.simulator import web_bodies as bodies
from nuki2mqtt.simulator.web_device import KnownDevice
from nuki2mqtt.simulator.web_locks import Reply, find
from nuki2mqtt.simulator.web_values import CloudAsked, not_valid, read_date

if TYPE_CHECKING:
    from nuki2mqtt.simulator.web import SimulatedCloud
    from nuki2mqtt.simulator.web_log import LogEntry

ROWS, MOST_ROWS = 20, 50


class _Filter(NamedTuple):
    begin: float | None
    end: float | None
    action: int | None
    user: int | None
    auth_id: str | None


def list_all(cloud: "SimulatedCloud", asked: CloudAsked) -> Reply:
    """`GET /smartlock/log`."""
    return _rows(cloud, asked, None)


def list_of_lock(cloud: "SimulatedCloud", asked: CloudAsked) -> Reply:
    """`GET /smartlock/{smartlockId}/log`."""
    return _rows(cloud, asked, find(cloud, asked, status=403))


def _rows(cloud: "SimulatedCloud", asked: CloudAsked, known: KnownDevice | None) -> Reply:
    limit = asked.number("limit")
    limit = ROWS if limit is None else limit
    if limit < 1:
        raise not_valid("limit", limit)
    wanted = _Filter(
        begin=read_date("fromDate", asked.query.get("fromDate")),
        end=read_date("toDate", asked.query.get("toDate")),
        action=asked.number("action"),
        user=asked.number("accountUserId"),
        auth_id=None if known is None else asked.query.get("authId"),
    )
    shown = (entry for entry in cloud.log.shown() if known is None or entry.known is known)
    rows = (entry for entry in _before(shown, asked.query.get("id")) if _is_wanted(entry, wanted))
    return 200, [
        bodies.log_entry(entry, is_named=not entry.is_nameless) for entry in islice(rows, min(limit, MOST_ROWS))
    ]


def _before(shown: "Iterator[LogEntry]", last_id: str | None) -> "Iterator[LogEntry]":
    """What is older than the row of this id; nothing where there is no such row."""
    return shown if last_id is None else islice(dropwhile(lambda entry: entry.id != last_id, shown), 1, None)


def _is_wanted(entry: "LogEntry", wanted: _Filter) -> bool:
    listed = None if entry.auth_id is None else entry.known.auths.get(entry.auth_id)
    return (
        (wanted.begin is None or entry.at >= wanted.begin)
        and (wanted.end is None or entry.at <= wanted.end)
        and wanted.action in {None, entry.action}
        and wanted.auth_id in {None, entry.auth_id}
        and wanted.user in {None, None if listed is None else listed.account_user_id}
    )


def account(cloud: "SimulatedCloud", _: CloudAsked) -> Reply:
    """`GET /account`."""
    return 200, bodies.account(cloud)
