"""What one replica asks of Ray, and how its workers share it. Pure arithmetic: no Ray needed."""

import math
from dataclasses import dataclass

from gristmill.errors import SpecError

__all__ = ["Resources"]

_GRAIN = 10_000
"""Ray counts resources in ten thousandths."""


@dataclass(frozen=True, slots=True)
class Resources:
    """CPUs, GPUs and bytes of memory.

    Example:
        >>> replica = Resources.of_replica(num_workers=2, cpus=None, memory=None, gpus=1)
        >>> replica.bundle(), replica.of_worker(2).gpus
        ({'CPU': 2.0, 'GPU': 1.0}, 0.5)
    """

    cpus: float
    gpus: float = 0.0
    memory: int = 0

    @classmethod
    def of_replica(cls, *, num_workers: int, cpus: float | None, memory: int | None, gpus: float | None) -> "Resources":
        """What a replica asks for; one CPU for each worker unless the user says otherwise.

        Raises:
            SpecError: GPUs cannot be shared by so many workers.
        """
        asked = cls(float(num_workers if cpus is None else cpus), float(gpus or 0), memory or 0)
        whole, count = asked.gpus, num_workers
        if whole > 1 and not whole.is_integer():
            raise SpecError(
                f"gpu_requests={whole:g}: a replica has a fraction of one GPU or whole GPUs;"
                f" ask for {math.floor(whole)} or {math.ceil(whole)}"
            )
        if whole > 1 and whole % count and count % whole:
            raise SpecError(
                f"gpu_requests={whole:g} cannot be shared by num_workers={count}: each worker needs as many"
                f" whole GPUs, or the same share of one; make num_workers a divisor or a multiple of {whole:g},"
                f" or gpu_requests a multiple of {count}"
            )
        return asked

    def of_worker(self, num_workers: int) -> "Resources":
        """The share of one of a replica's workers, rounded down so that all of them fit."""
        return Resources(
            math.floor(self.cpus / num_workers * _GRAIN) / _GRAIN,
            math.floor(self.gpus / num_workers * _GRAIN) / _GRAIN,
            self.memory // num_workers,
        )

    def spread(self) -> "list[Resources]":
        """One share for each GPU, all alike: what a replica asks for whose GPUs may stand on several nodes.

        Raises:
            SpecError: it has no whole GPUs.

        Example:
            >>> [str(share) for share in Resources(cpus=4, gpus=2).spread()]
            ['2 CPU, 1 GPU, 0.00 GiB of memory', '2 CPU, 1 GPU, 0.00 GiB of memory']
        """
        if self.gpus < 1 or self.gpus % 1:
            raise SpecError(
                f"gpu_requests={self.gpus:g}: a replica that spreads over nodes has one worker on each GPU; "
                "ask for whole GPUs, at least 1"
            )
        count = int(self.gpus)
        return [self.of_worker(count)] * count

    def bundle(self) -> dict[str, float]:
        """As a bundle of a Ray placement group, which may not be empty."""
        named = {"CPU": self.cpus, "GPU": self.gpus, "memory": float(self.memory)}
        return {name: amount for name, amount in named.items() if amount > 0} or {"CPU": 1 / _GRAIN}

    def __str__(self) -> str:
        return ", ".join([f"{self.cpus:g} CPU", f"{self.gpus:g} GPU", f"{self.memory / 1024**3:.2f} GiB of memory"])
