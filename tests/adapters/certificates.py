"""Certificates made by openssl, for servers on the loopback address."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.brokers import Tls

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")


class Authority:
    """A certificate authority of one's own."""

    def __init__(self, directory: Path, name: str) -> None:
        self.ca = directory / f"{name}.pem"
        self._key = directory / f"{name}.key"
        self._directory = directory
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
            *("-subj", f"/CN={name}", "-keyout", self._key, "-out", self.ca),
        )

    def issue(self, name: str, alternative: str = "IP:127.0.0.1", days: int = 2, **how: Any) -> Tls:
        """A certificate for these names; -1 days make an expired one."""
        request, cert, key = (self._directory / f"{name}.{end}" for end in ("csr", "crt", "key"))
        names = self._directory / f"{name}.ext"
        names.write_text(f"subjectAltName={alternative}\n")
        _openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", f"/CN={name}", "-keyout", key, "-out", request),
        )
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key, "-CAcreateserial"),
            *("-days", str(days), "-extfile", names, "-out", cert),
        )
        return Tls(ca=self.ca, cert=cert, key=key, **how)


def _openssl(*arguments: str | Path) -> None:
    assert OPENSSL is not None
    subprocess.run([OPENSSL, *map(str, arguments)], check=True, capture_output=True, timeout=30)  # noqa: S603
