"""Runs scim2-tester, the conformance checks of python-scim, against SCIM_URL with the bearer token SCIM_TOKEN.

Prints one line for each check that did not succeed, then how many there were; exit 1 if one failed.
"""

import os
import sys
from collections import Counter

from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

http = Client(base_url=os.environ["SCIM_URL"], headers={"Authorization": f"Bearer {os.environ['SCIM_TOKEN']}"}, timeout=30)
results = check_server(SyncSCIMClient(http))
counts = Counter(result.status for result in results)
for result in results:
    if result.status not in (Status.SUCCESS, Status.SKIPPED):
        print(result.status.name, result.resource_type or "-", result.title, "|", result.reason)
print(", ".join(f"{count} {status.name.lower()}" for status, count in sorted(counts.items(), key=lambda one: one[0].name)))
sys.exit(0 if counts[Status.SUCCESS] and set(counts) <= {Status.SUCCESS, Status.SKIPPED} else 1)
