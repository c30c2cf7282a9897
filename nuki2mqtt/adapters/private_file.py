"""Files for our eyes only, written whole or not at all. Every function raises OSError."""

import errno
import os
import stat
from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700


def make_private_folder(folder: Path) -> None:
    """Create a folder for its owner only; one that exists keeps its mode."""
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)


def write_private_file(path: Path, data: bytes, *, keep_as: Path | None = None) -> None:
    """Replace a file by these bytes; the former one stays as `keep_as`.

    A power cut leaves the old file or the new one. Links at the temporary name are never followed.
    """
    temp = _write_temp(path, data)
    try:
        if keep_as is not None:
            _keep(path, keep_as)
        temp.replace(path)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def read_regular_file(path: Path, limit: int) -> bytes:
    """At most `limit` bytes of a file; links, pipes and devices are refused, for they may never end."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return file.read(limit)


def try_write(path: Path, data: bytes) -> None:
    """Find out whether `write_private_file` would succeed, leaving everything as it is."""
    _write_temp(path, data).unlink()


def remove_leftovers(path: Path) -> None:
    """Remove what a killed process left beside a file of which we are the only writer."""
    for leftover in path.parent.glob(f"{path.name}.*.tmp"):
        leftover.unlink(missing_ok=True)


def _write_temp(path: Path, data: bytes) -> Path:
    temp = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temp.unlink(missing_ok=True)
    handle = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        with os.fdopen(handle, "wb") as file:
            _give_to_owner_of(path.parent, handle)
            file.write(data)
            file.flush()
            os.fsync(handle)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    return temp


def _give_to_owner_of(folder: Path, handle: int) -> None:
    """Let the service read what root wrote into its folder (`sudo nuki2mqtt pair`)."""
    if os.geteuid() == 0 and (owner := folder.stat()).st_uid != 0:
        os.fchown(handle, owner.st_uid, owner.st_gid)


def _keep(path: Path, keep_as: Path) -> None:
    spare = keep_as.with_name(f"{keep_as.name}.{os.getpid()}.tmp")
    spare.unlink(missing_ok=True)
    try:
        os.link(path, spare, follow_symlinks=False)
    except FileNotFoundError:
        return  # there is no former one
    except OSError:
        # No hard links here (FAT, some network shares): for an instant only the kept one exists.
        path.replace(keep_as)
        return
    spare.replace(keep_as)
    spare.unlink(missing_ok=True)  # still there when both were names of one file already


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError:
        pass  # some file systems cannot; the file itself is on the disk
    finally:
        os.close(handle)
