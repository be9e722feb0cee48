"""`tts-router worker` with a lease of its own: `python -m tests.soak.job_worker LEASE_S …`.

Whoever takes up the jobs of a process that was killed waits for its leases: in a small run, for
shorter ones.
"""

from __future__ import annotations

import sys

from router.cli import main
from router.jobs import run, worker

if __name__ == "__main__":
    lease_s = float(sys.argv.pop(1))
    vars(worker)["LEASE_S"] = run.LEASE_S = lease_s
    run.RENEW_S = lease_s / 8
    main(["worker", *sys.argv[1:]])
