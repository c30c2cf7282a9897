"""What the cloud refuses us: scopes that the token lacks, and devices to which the account has no right.

A 401 is about a scope as a whole, whatever it was asked for; a 403 of a request that names a device is about that
device. What was refused is tried again rarely, when somebody wants it.
"""

from dataclasses import dataclass

from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.gateway.web_jobs import WebJob, WebJobKind, device_of
from nuki2mqtt.model.cloud_device import nuki_id_of
from nuki2mqtt.model.device import NukiId

RETRIES_S = (60.0, 900.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal: `device` is the cloud's number of the device that it is about, None for all. `until`: monotonic."""

    scope: str
    device: int | None
    kind: WebErrorKind
    until: float
    tries: int

    @property
    def is_new(self) -> bool:
        """Whether nobody was told of it yet."""
        return self.tries == 1

    @property
    def nuki_id(self) -> NukiId | None:
        """The device that it is about."""
        return None if self.device is None else nuki_id_of(self.device)


class WebRefusals:
    """All refusals that hold. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._refusals: dict[tuple[str, int | None], Refusal] = {}

    def refuse(self, job: WebJob, error: WebError, now: float) -> Refusal:
        """Take in a refusal."""
        scope = job.request.scope
        device = device_of(job.request) if error.kind is WebErrorKind.FORBIDDEN else None
        former = self._refusals.get((scope, device))
        tries = 1 if former is None else former.tries + 1
        refusal = Refusal(scope, device, error.kind, now + RETRIES_S[min(tries, len(RETRIES_S)) - 1], tries)
        self._refusals[scope, device] = refusal
        return refusal

    def grant(self, job: WebJob) -> bool:
        """Take in a success; whether it was refused before."""
        scope = job.request.scope
        ended = [self._refusals.pop((scope, device), None) for device in {None, device_of(job.request)}]
        return any(ended)

    def find(self, scope: str, device: int | None, now: float) -> WebErrorKind | None:
        """Why something is not even asked for now; None where it may be."""
        found = (self._refusals.get((scope, one)) for one in (None, device))
        return next((one.kind for one in found if one is not None and now < one.until), None)

    def find_for(self, job: WebJob, now: float) -> WebErrorKind | None:
        """The same for a job; orders are always tried: somebody waits, and one more no costs nothing."""
        if job.kind is WebJobKind.ORDER:
            return None
        return self.find(job.request.scope, device_of(job.request), now)

    def clear(self) -> None:
        """There is another token."""
        self._refusals.clear()

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes that are missing."""
        return tuple(sorted(scope for scope, device in self._refusals if device is None))

    @property
    def devices(self) -> tuple[NukiId, ...]:
        """The devices to which a right is missing."""
        return tuple(sorted({nuki_id_of(device) for _, device in self._refusals if device is not None}))
