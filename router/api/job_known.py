"""What callers were told of their jobs last, for when the store cannot be asked."""

from __future__ import annotations

from collections import OrderedDict

from router.jobs.job import Job

MOST = 4_096


class LastKnown:
    """The jobs that were asked after last, at most 4,096 of them; each is known to the key that
    asked after it."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[tuple[bytes, str], Job] = OrderedDict()

    def keep(self, who: bytes, job: Job) -> None:
        """`who` stands for a key, from which nobody can go back to it."""
        self._jobs[who, job.id] = job
        self._jobs.move_to_end((who, job.id))
        if len(self._jobs) > MOST:
            self._jobs.popitem(last=False)

    def find(self, who: bytes, id: str) -> Job | None:
        return self._jobs.get((who, id))
