"""The command line `plumbline`."""

import os
import signal


def entry_point() -> int:
    """Run the command line, and end at once on a signal until a command handles signals itself.

    As PID 1, in a container without an init, a process receives no signal that it does not handle:
    without a handler SIGTERM would be lost while modules are imported.
    """
    if os.getpid() == 1:
        for each in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, lambda number, _: os._exit(128 + number))
    _open_standard_streams()
    from monitor.cli.main import main  # noqa: PLC0415  # slow: after the handlers

    return main()


def _open_standard_streams() -> None:
    """Open closed standard streams: a socket must not get the number of standard error."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
