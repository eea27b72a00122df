"""Run the command line in a process of its own, forked from one that has loaded the program.

Loading takes most of the time of a short command. The tests of the packaging run the installed program itself.
"""

import multiprocessing
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory
from typing import Final

_FORKS: Final = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["boxoffice.entrypoints.cli.operate"])
_ENDS_WITHIN: Final = 600.0  # seconds


def run_command(arguments: tuple[str, ...], directory: Path, environment: Mapping[str, str]) -> CompletedProcess[str]:
    """Return the result of `boxoffice` with these arguments and this environment alone."""
    with TemporaryDirectory() as kept:
        out, err = Path(kept, "out"), Path(kept, "err")
        process = _FORKS.Process(target=_main, args=(arguments, directory, dict(environment), out, err))
        process.start()
        try:
            process.join(_ENDS_WITHIN)
            code = process.exitcode
        finally:
            process.kill()
            process.join()
            process.close()
        if code is None:
            raise TimeoutError(arguments)
        return CompletedProcess(arguments, code, out.read_text(), err.read_text())


def _main(arguments: tuple[str, ...], directory: Path, environment: dict[str, str], out: Path, err: Path) -> None:
    from boxoffice.entrypoints.cli import main

    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.exit(main(list(arguments)))
