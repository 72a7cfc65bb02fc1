"""Reading whole files over http(s), from addresses that rows may reach."""

import contextlib
import http.client
import ipaddress
import socket
import ssl
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from gristmill.errors import AccessError
from gristmill.storage.access import AccessPolicy
from gristmill.storage.failure import FileTooLargeError, TransientError
from gristmill.storage.location import scheme_of

__all__ = ["WebFiles", "is_public"]

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = 5
_CONNECT = 10.0
_PIECE = 1024**2
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "gristmill"}
_TRANSLATING = ipaddress.ip_network("64:ff9b::/96")
_URL_CHARACTERS = "%/:?#[]@!$&'()*+,;=~"

Admit = Callable[[int], None]
Place = tuple[str, str, int]
"""Scheme, host and port."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, also when it is wrapped in another address.

    Example:
        >>> is_public("::ffff:127.0.0.1"), is_public("93.184.216.34")
        (False, True)
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _TRANSLATING:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


class WebFiles:
    """Whole files over http(s), for many threads at once.

    The very address that is connected to is judged, so that a name that changes its address after a check gains
    nothing; a redirect is judged like any other reference. No proxy is used, since it would choose the address.

    Args:
        access: what may be opened.
        timeout: seconds for one try, body and redirects included.
        max_bytes: a larger file is refused.
    """

    def __init__(self, access: AccessPolicy, *, timeout: float, max_bytes: int) -> None:
        self._access = access
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._idle: defaultdict[Place, deque[http.client.HTTPConnection]] = defaultdict(deque)
        self._tls: ssl.SSLContext | None = None

    def read(self, location: str, *, admit: Admit) -> bytes:
        """The content that a URL gives.

        Raises:
            AccessError: it, or where it redirects to, is not allowed, or leads to a private address.
            FileNotFoundError, PermissionError, FileTooLargeError, OSError: as they say.
            TransientError: the request may go well another time.
        """
        deadline = time.monotonic() + self._timeout
        target = location
        for _ in range(_REDIRECTS):
            answer = self._get(target, deadline, admit)
            if isinstance(answer, bytes):
                return answer
            target = self._access.locate(urljoin(target, answer))
            if scheme_of(target) not in _PORTS:
                raise AccessError(f"the server redirects to {target!r}, which is not on the web")
        raise OSError(f"the server redirects more than {_REDIRECTS} times")

    def close(self) -> None:
        """Close the idle connections."""
        for idle in self._idle.values():
            while idle:
                idle.pop().close()

    def _get(self, location: str, deadline: float, admit: Admit) -> bytes | str:
        """The content, or where the server redirects to."""
        parts = urlsplit(location)
        place = (parts.scheme, parts.hostname or "", parts.port if parts.port is not None else _PORTS[parts.scheme])
        target = quote(parts.path or "/", safe=_URL_CHARACTERS) + (
            f"?{quote(parts.query, safe=_URL_CHARACTERS)}" if parts.query else ""
        )
        try:
            while True:
                connection, used = self._connection(place, deadline)
                try:
                    connection.sock.settimeout(_left(deadline))
                    connection.request("GET", target, headers=_HEADERS)
                    response = connection.getresponse()
                except (ConnectionError, http.client.BadStatusLine):
                    connection.close()
                    if not used:  # a server may close a connection that waits; a new one tells whether it is there
                        raise
                    continue
                break
            with contextlib.ExitStack() as unless_kept:
                unless_kept.callback(connection.close)
                answer = self._answer(response, connection, deadline, admit)
                if isinstance(answer, bytes) and not response.will_close:
                    unless_kept.pop_all()
                    self._idle[place].append(connection)
                return answer
        except TimeoutError:
            raise TransientError("the server did not answer in time", timed_out=True) from None
        except ssl.SSLError as error:
            raise OSError(f"the secure connection failed: {error.reason or error}") from None
        except (http.client.HTTPException, ConnectionError) as error:
            raise TransientError(f"the connection failed or was dropped ({type(error).__name__})") from None

    def _answer(self, response: Any, connection: Any, deadline: float, admit: Admit) -> bytes | str:
        status = response.status
        if status in (301, 302, 303, 307, 308) and response.getheader("Location"):
            return str(response.getheader("Location"))
        if status in (404, 410):
            raise FileNotFoundError(f"the server answered {status}")
        if status in (401, 403):
            raise PermissionError(f"the server refused access ({status})")
        if status in (408, 425, 429) or status >= 500:
            raise TransientError(f"the server answered {status}")
        if status != 200:
            raise OSError(f"the server answered {status}")
        size = response.length  # None where the server does not tell
        if size is not None:
            if size > self._max_bytes:
                raise FileTooLargeError.of(size, self._max_bytes)
            admit(size)
        content = bytearray()
        while True:
            left = _left(deadline)
            if connection.sock is not None:
                connection.sock.settimeout(left)
            piece = response.read1(_PIECE)
            if not piece:
                break
            content += piece
            if len(content) > self._max_bytes:
                raise FileTooLargeError.of(None, self._max_bytes)
        if size is not None and len(content) != size:
            raise http.client.IncompleteRead(b"", size - len(content))
        response.close()  # says that the connection is free for another request
        return bytes(content)

    def _connection(self, place: Place, deadline: float) -> tuple[http.client.HTTPConnection, bool]:
        """A connection, and whether it has been used before."""
        with contextlib.suppress(IndexError):
            return self._idle[place].pop(), True
        scheme, host, port = place
        connected = self._connect(host, port, deadline)
        connection = http.client.HTTPConnection(host, port)
        if scheme == "https":
            if self._tls is None:
                self._tls = ssl.create_default_context()
            try:
                connected = self._tls.wrap_socket(connected, server_hostname=host)
            except BaseException:
                connected.close()
                raise
        connection.sock = connected
        connection.auto_open = 0  # never a connection that was not judged
        return connection, False

    def _connect(self, host: str, port: int, deadline: float) -> socket.socket:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise TransientError(f"the address of {host!r} could not be found out: {error}") from None
            raise OSError(f"there is no host {host!r}: {error}") from None
        if not self._access.allows_private(host, port):
            public = [one for one in found if is_public(str(one[4][0]))]
            if not public:
                raise AccessError(
                    f"{host!r} has the address {found[0][4][0]}, which is not public; name it in the allowed prefixes "
                    "as http://host:port/ if rows may read from it"
                )
            found = public
        failure: OSError = ConnectionError("no address")
        for family, kind, protocol, _, address in found:
            connected = socket.socket(family, kind, protocol)
            try:
                connected.settimeout(min(_CONNECT, _left(deadline)))
                connected.connect(address)
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                connected.close()
                failure = error
            else:
                return connected
        raise failure


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
