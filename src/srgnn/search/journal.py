"""The lock of a study's journal."""

import fcntl
import os
from pathlib import Path

from optuna.storages.journal import JournalFileOpenLock

from srgnn.errors import UserError


class FileLock(JournalFileOpenLock):
    """A lock that the system releases with the process; Optuna's own locks outlive a killed process by half a minute.

    The half of a line that a killed process or a full disk left at the end of the journal is removed.

    Args:
        journal: Path of the journal; its folder exists.

    Raises:
        UserError: if the file system has no locks.
    """

    def __init__(self, journal: Path):
        super().__init__(str(journal))
        self.journal, self.file = journal, -1

    def acquire(self) -> bool:
        self.file = os.open(self.journal, os.O_RDWR)
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX)
        except OSError as error:
            os.close(self.file)
            raise UserError(
                f"The file system of {self.journal.parent} has no locks ({error.strerror}), which the processes of a "
                "search need: name another folder with folder=FOLDER.",
                "folder",
            ) from error
        self._remove_half_a_line()
        return True

    def release(self) -> None:
        os.close(self.file)

    def _remove_half_a_line(self) -> None:
        end = os.fstat(self.file).st_size
        if end and os.pread(self.file, 1, end - 1) != b"\n":
            content = os.pread(self.file, end, 0)
            os.ftruncate(self.file, content.rfind(b"\n") + 1)
