"""A plugin of pytest that prints the first failure in full, at once, and the names of the others.

It is for --tb=no, which keeps the end of the report short.
"""

import pytest

_seen: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Prints the first report of a failure, and the names of the others."""
    if not report.failed:
        return
    print(f"\nFAILED {report.nodeid} ({report.when})", flush=True)
    if not _seen:
        print(report.longreprtext, flush=True)
    _seen.append(report.nodeid)
