"""Runs the tests of all clients, and says at the end what was skipped and why. See clients/test.sh."""

import collections
import os
import pathlib
import sys
import time
import unittest

TESTS = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS.parent / "python")]
os.environ.pop("VIGIE_SOCKET", None)  # of some daemon that is not to hear of tests


class Result(unittest.TextTestResult):
    """Keeps how long each test took."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.times = []

    def startTest(self, test):
        self.began = time.monotonic()
        super().startTest(test)

    def stopTest(self, test):
        self.times.append((time.monotonic() - self.began, test.id()))
        super().stopTest(test)


def main():
    suite = unittest.TestSuite()
    for folder in (TESTS.parent / "python", TESTS):
        for file in sorted(folder.glob("test_*.py")):
            suite.addTests(unittest.defaultTestLoader.loadTestsFromName(file.stem))
    result = unittest.TextTestRunner(resultclass=Result, verbosity=0).run(suite)
    print("the slowest:")
    for took, name in sorted(result.times, reverse=True)[:5]:
        print(f"{took:7.1f} s  {name}")
    reasons = collections.defaultdict(list)
    for test, why in result.skipped:
        reasons[why].append(test.id())
    for why, tests in reasons.items():
        print(f"skipped: {why}: {len(tests)}, such as {tests[0]}")
    failed = len(result.failures) + len(result.errors)
    print(f"clients: {result.testsRun - failed - len(result.skipped)} passed, {failed} failed, {len(result.skipped)} skipped")
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
