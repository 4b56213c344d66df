"""Where a study may live, and who may work on it: no network shares, one worker at a time."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

from SuggestiveAnnotationLib.errors import StorageError, StudyLockedError
from SuggestiveAnnotationLib.files import storage_error
from SuggestiveAnnotationLib.study.database import translated

LOCK_NAME, HOLDER_NAME = "worker.lock", "worker.pid"
LOCK_SECONDS = 1.0
"""So long a process that was killed may hold its files; then another one is taken to be at work."""

NETWORK_FILESYSTEMS = frozenset(
    {"9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "davfs", "fuse.davfs2", "fuse.glusterfs", "fuse.gvfsd-fuse", "fuse.rclone"}
    | {"fuse.sshfs", "fuse.vmhgfs-fuse", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs3", "nfs4", "smb", "smb2", "smb3", "smbfs"}
    | {"vboxsf", "vmhgfs", "webdav"}
)


def refuse_network_share(path: Path) -> None:
    """SQLite's locks are not reliable on network shares, and one lost lock loses annotations.

    Raises:
        StorageError: `path` is on a network share.
    """
    kind = network_filesystem(path)
    if kind:
        raise StorageError(
            f"{path} is on a network share ({kind}), where a study can lose annotations.",
            hint="Keep the study on a local disk; images may stay on the share.",
        )


def network_filesystem(path: Path, *, mounts: str | None = None) -> str:
    """Kind of network file system that `path` is on, "" for a local disk.

    Args:
        path: need not exist yet.
        mounts: mount table in the format of `/proc/mounts`; read from the system when not given.
    """
    full = Path(os.path.realpath(path))
    if sys.platform == "win32":
        return _windows_share(full)
    best, kind = "", ""
    for line in (_mounts() if mounts is None else mounts).splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        # Spaces and the like stand as octal escapes.
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[1])
        inside = full == Path(point) or Path(point) in full.parents
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind if kind in NETWORK_FILESYSTEMS else ""


def _mounts() -> str:
    table = Path("/proc/mounts")
    if table.exists():
        return table.read_text(encoding="utf-8", errors="replace")
    # macOS prints "device on /point (kind, options)".
    lines = subprocess.run(["mount"], capture_output=True, text=True, check=False).stdout.splitlines()
    parsed = []
    for line in lines:
        device, _, rest = line.partition(" on ")
        point, _, options = rest.rpartition(" (")
        kind = options.split(",")[0].rstrip(")")
        parsed.append(f"{device.split()[0]} {point.replace(' ', chr(92) + '040')} {kind}")
    return "\n".join(parsed)


def _windows_share(path: Path) -> str:
    if str(path).startswith("\\\\"):
        return "UNC path"
    import ctypes

    remote = 4
    kind: int = ctypes.windll.kernel32.GetDriveTypeW(path.anchor)  # type: ignore[attr-defined,unused-ignore]
    return "network drive" if kind == remote else ""


def _holder(note: Path) -> str:
    try:
        with note.open("rb") as file:
            text = file.read(20).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return "unknown"
    return text if text.isdecimal() else "unknown"


class WorkerLock:
    """Held by the one process that works on a study; the system releases it when the process ends, however it ends.

    An exclusive SQLite transaction on a file of its own: the same on every platform.

    Raises:
        StudyLockedError: another process holds it.
        StorageError: the folder is read-only or the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self._note, lock = folder / HOLDER_NAME, folder / LOCK_NAME
        try:
            self._connection = sqlite3.connect(lock, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False)
        except sqlite3.DatabaseError as error:
            raise translated(error, lock) from error
        try:
            self._connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.DatabaseError as error:
            self._connection.close()
            if "locked" not in str(error):
                raise translated(error, lock) from error
            holder = _holder(self._note)
            raise StudyLockedError(
                f"Another worker (process {holder}) is at work on the study {folder}.",
                hint="Wait for it, or close it, then try again.",
            ) from None
        try:
            self._note.write_text(f"{os.getpid()}\n", encoding="utf-8")
        except OSError as error:
            self._connection.close()
            raise storage_error(error, self._note) from error

    def release(self) -> None:
        """Give the study free."""
        self._connection.close()

    def __enter__(self) -> WorkerLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
