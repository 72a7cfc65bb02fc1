"""Reading whole files over http(s), from addresses that rows may reach."""

import ipaddress
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin, urlsplit

from gristmill.errors import AccessError, MissingExtraError
from gristmill.storage.access import AccessPolicy
from gristmill.storage.failure import FileTooLargeError, TransientError
from gristmill.storage.location import scheme_of

__all__ = ["WebFiles", "is_public"]

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = 5
_TRANSLATING = ipaddress.ip_network("64:ff9b::/96")


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
    """Whole files over http(s), for one event loop.

    The address is judged where the socket is made, so that a name that changes its address between a check and the
    connection gains nothing; a redirect is judged like any other reference.

    Args:
        access: what may be opened.
        timeout: seconds for one try.
        max_bytes: a larger file is refused.
        connections: how many at once.
    """

    def __init__(self, access: AccessPolicy, *, timeout: float, max_bytes: int, connections: int) -> None:
        self._access = access
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._connections = connections
        self._sessions: dict[bool, Any] = {}

    async def read(self, location: str, *, admit: Callable[[int], None]) -> bytes:
        """The content that a URL gives.

        Raises:
            AccessError: it, or where it redirects to, is not allowed, or leads to a private address.
            FileNotFoundError, PermissionError, FileTooLargeError, OSError: as they say.
            TransientError: the request may go well another time.
        """
        aiohttp = _aiohttp()
        target = location
        try:
            for _ in range(_REDIRECTS):
                answer = await self._get(target, admit)
                if isinstance(answer, bytes):
                    return answer
                target = self._access.locate(urljoin(target, answer))
                if scheme_of(target) not in _PORTS:
                    raise AccessError(f"the server redirects to {target!r}, which is not on the web")
        except TimeoutError:
            raise TransientError("the server did not answer in time", timed_out=True) from None
        except aiohttp.ClientError as error:
            for cause in _causes(error):
                if isinstance(cause, AccessError):
                    raise cause from None
            if isinstance(error, aiohttp.InvalidURL | aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
                raise OSError(f"{type(error).__name__}: {error}") from None
            raise TransientError(f"the connection failed or was dropped ({type(error).__name__})") from None
        raise OSError(f"the server redirects more than {_REDIRECTS} times")

    async def close(self) -> None:
        """Close the connections."""
        for session in self._sessions.values():
            await session.close()

    async def _get(self, location: str, admit: Callable[[int], None]) -> bytes | str:
        """The content, or where the server redirects to."""
        parts = urlsplit(location)
        port = parts.port if parts.port is not None else _PORTS[parts.scheme]
        session = self._session(private=self._access.allows_private(parts.hostname or "", port))
        async with session.get(location, allow_redirects=False) as response:
            status = response.status
            if status in (301, 302, 303, 307, 308) and "Location" in response.headers:
                return str(response.headers["Location"])
            if status in (404, 410):
                raise FileNotFoundError(f"the server answered {status}")
            if status in (401, 403):
                raise PermissionError(f"the server refused access ({status})")
            if status in (408, 425, 429) or status >= 500:
                raise TransientError(f"the server answered {status}")
            if status != 200:
                raise OSError(f"the server answered {status}")
            if response.content_length is not None and response.content_length > self._max_bytes:
                raise FileTooLargeError.of(response.content_length, self._max_bytes)
            if response.content_length is not None:
                admit(response.content_length)
            content = bytearray()
            async for piece in response.content.iter_any():
                content += piece
                if len(content) > self._max_bytes:  # also what a compressed body grows to
                    raise FileTooLargeError.of(None, self._max_bytes)
            return bytes(content)

    def _session(self, *, private: bool) -> Any:
        """One session for hosts that may be private, one for the others, so that no connection serves both."""
        if private not in self._sessions:
            aiohttp = _aiohttp()
            connector = aiohttp.TCPConnector(
                limit=self._connections, socket_factory=socket_for_any if private else socket_for_public
            )
            timeout = aiohttp.ClientTimeout(total=self._timeout, sock_connect=min(self._timeout, 10.0))
            self._sessions[private] = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)
        return self._sessions[private]


def socket_for_any(address: Any) -> socket.socket:
    """A socket towards an address."""
    family, kind, protocol, _, _ = address
    return socket.socket(family, kind, protocol)


def socket_for_public(address: Any) -> socket.socket:
    """A socket towards an address of the public internet.

    Raises:
        AccessError: the address is private, of this machine, or reserved.
    """
    if not is_public(str(address[4][0])):
        raise AccessError(
            f"the URL leads to the address {address[4][0]}, which is not public; name it in the allowed prefixes as "
            "http://host:port/ if rows may read from it"
        )
    return socket_for_any(address)


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is not None and one not in found:
            found.append(one)
            left += [one.__cause__, one.__context__, getattr(one, "os_error", None)]
            left += getattr(one, "exceptions", ())
    return found


def _aiohttp() -> Any:
    try:
        import aiohttp
    except ImportError:
        raise MissingExtraError.of("aiohttp", "s3", need="reading files over http(s)") from None
    return aiohttp
