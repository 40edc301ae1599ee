"""How several processes make sure that all of them are there, before jax connects them.

jax ends a process that waits in vain by an abort with a stack trace. So the processes first meet at
the same address: each says its number to process 0, which answers all of them once all have come.
"""

import contextlib
import json
import socket
import sys
import time

NOTE_AFTER = 10.0  # seconds without the others until a line says so
REPLY, HELLO = 5.0, 1_000  # seconds to say who one is, and bytes


def meet(address: str, count: int, number: int, wait: float) -> None:
    """Waits at most `wait` seconds until all `count` processes have come to HOST:PORT, the address
    of process 0; this one is `number`.

    Raises:
      ValueError: some do not come, two have the same number, they disagree about their count, or
        the port is in use.

    Example:
      >>> meet("localhost:12345", 1, 0, wait=1.0)  # nobody to wait for
    """
    if count == 1:
        return
    host, _, port = address.rpartition(":")
    until = time.monotonic() + wait
    try:
        if number == 0:
            _lead(int(port), count, until)
        else:
            _come(host.strip("[]"), int(port), count, number, until)
    except _Alone as error:
        raise ValueError(
            f"the processes did not find each other at {address} within {wait:g} s: {error}. Start "
            f"{count} processes with the same --coordinator HOST:PORT and --processes, each with "
            "another --process-id."
        ) from None
    except OSError as error:
        raise ValueError(f"--coordinator {address}: {error.strerror or error}.") from None


class _Alone(Exception):
    """The others did not come."""


def _lead(port, count, until):
    """Process 0: hears from all others, and answers all of them."""
    try:
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        server = socket.create_server(("", port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise ValueError(
            f"--coordinator: port {port} cannot be opened here ({error.strerror}): choose another "
            "one, for all processes."
        ) from None
    with contextlib.ExitStack() as closing:
        closing.enter_context(server)
        met: dict[int, socket.socket] = {}
        note = _Note(until)
        said = "go"
        try:
            while len(met) < count - 1:
                waiting = [each for each in range(1, count) if each not in met]
                names = ", ".join(map(str, waiting[:10]))
                note.wait(f"no word yet from --process-id {names} of {count}")
                server.settimeout(1.0)
                with contextlib.suppress(TimeoutError):
                    guest = closing.enter_context(server.accept()[0])
                    _welcome(guest, count, met)
        except (ValueError, _Alone) as error:
            said = str(error)
            raise
        finally:
            for guest in met.values():
                with contextlib.suppress(OSError):
                    guest.sendall(f"{said}\n".encode())
            for guest in met.values():  # they close first, so that the port is free at once
                with contextlib.suppress(OSError):
                    guest.settimeout(REPLY)
                    guest.recv(1)


def _welcome(guest, count, met):
    """Puts a guest among those met, by its number; one that is none of ours is left out."""
    try:
        guest.settimeout(REPLY)
        with guest.makefile("rb") as words:
            hello = json.loads(words.readline(HELLO))
        number, theirs = int(hello["process_id"]), int(hello["processes"])
    except (OSError, ValueError, TypeError, KeyError):
        guest.close()
        return
    twin = met.get(number)
    met[number] = guest  # answered like the others
    if theirs != count:
        raise ValueError(
            f"--processes is {count} in process 0 and {theirs} in another one: pass the same."
        )
    if twin is not None and _is_there(twin):
        with contextlib.suppress(OSError):
            twin.sendall(f"{_twins(number)}\n".encode())
        raise ValueError(_twins(number))


def _twins(number):
    return f"two processes have --process-id {number}: give each its own."


def _is_there(guest):
    """Whether the other end is still open."""
    guest.setblocking(False)
    try:
        return guest.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def _come(host, port, count, number, until):
    """Another process: says its number to process 0, and waits for the answer."""
    note = _Note(until)
    reason = "no connection"
    while True:
        note.wait(f"process 0 does not answer ({reason})")
        try:
            server = socket.create_connection((host, port), timeout=REPLY)
            break
        except OSError as error:
            reason = error.strerror or str(error)
            time.sleep(0.3)
    with server:
        hello = {"process_id": number, "processes": count}
        server.sendall(f"{json.dumps(hello)}\n".encode())
        server.settimeout(max(0.0, until - time.monotonic()) + 2 * REPLY)
        try:
            with server.makefile("rb") as words:
                said = words.readline(HELLO).decode("utf-8", "replace").strip()
        except TimeoutError:
            raise _Alone("process 0 does not answer") from None
        except OSError:
            said = ""
    if said == "go":
        return
    if not said or "\ufffd" in said:
        raise ValueError(
            f"process 0 ended before all processes had come, or port {port} of {host} is "
            "another program's."
        )
    raise ValueError(f"process 0 stopped: {said}")


class _Note:
    """One line on stderr for who waits long."""

    def __init__(self, until):
        self.until, self.at = until, time.monotonic() + NOTE_AFTER

    def wait(self, what):
        """Says once what is missing; `_Alone` when it is too late."""
        now = time.monotonic()
        if now > self.until:
            raise _Alone(what)
        if now > self.at:
            self.at = self.until + 1
            print(f"note: {what}; waiting {self.until - now:.0f} s more", file=sys.stderr)
