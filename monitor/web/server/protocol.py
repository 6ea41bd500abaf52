"""Deadlines for clients: uvicorn alone waits for ever for a request, or for a reader."""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS: Final = 20.0
"""Time from the connection, or from the first byte of a later request, to the end of the body."""
READ_SECONDS: Final = 30.0
"""Time for which a client may not read a response that waits for it."""


class DeadlineProtocol(H11Protocol):
    """A connection that is closed if its client is too slow."""

    request_seconds = REQUEST_SECONDS
    read_seconds = READ_SECONDS
    _request_timer: asyncio.TimerHandle | None = None
    _read_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Start the time for the first request."""
        super().connection_made(transport)
        self._start_request_timer()

    def data_received(self, data: bytes) -> None:
        """Start the time at the first byte of a request, and stop it at its last."""
        if self._request_timer is None:
            self._start_request_timer()
        super().data_received(data)
        if self._is_complete():
            self._stop_request_timer()

    def _is_complete(self) -> bool:
        """Return whether no request is half received."""
        buffered, _ = self.conn.trailing_data
        return self.cycle is not None and not self.cycle.more_body and not buffered

    def _start_request_timer(self) -> None:
        self._request_timer = self.loop.call_later(self.request_seconds, self._give_up)

    def _stop_request_timer(self) -> None:
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None

    def _give_up(self) -> None:
        self._request_timer = None
        if self.transport is not None and not self.transport.is_closing():
            self.transport.abort()

    def pause_writing(self) -> None:
        """Start the time for the client to read what waits for it."""
        super().pause_writing()
        if self._read_timer is None:
            self._read_timer = self.loop.call_later(self.read_seconds, self._give_up)

    def resume_writing(self) -> None:
        """Stop the time: the client has read."""
        super().resume_writing()
        self._stop_read_timer()

    def _stop_read_timer(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        self._stop_request_timer()
        self._stop_read_timer()
        super().connection_lost(exc)
