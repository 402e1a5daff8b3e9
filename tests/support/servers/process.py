"""A server that a test has started, which it may freeze, kill and remove."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final

PATIENCE: Final = 30.0  # seconds until a killed process has ended


class ServerProcess:
    """A process with a folder of its own."""

    folder: Path
    _process: subprocess.Popen[bytes] | None

    def signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def freeze(self) -> None:
        """Suspend the process (SIGSTOP), as if the machine did not respond."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the server at once, and wait for its end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None

    def remove(self) -> None:
        """End the server and delete its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
