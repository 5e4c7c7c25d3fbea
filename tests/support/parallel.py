# SPDX-License-Identifier: Apache-2.0
"""Runs test modules as processes of their own, some at a time, and counts: run-tests calls it.

	python3 -m tests.support.parallel [-j N] MODULE...
The last line is `BLACK BOX: N passed, M failed`; what failed is printed whole. The longest begin first, or one of them would
run alone at the end.
"""
import argparse
import concurrent.futures
import re
import signal
import subprocess
import sys
import time

LONGEST = ("faults", "smarthost", "life", "health", "provider", "hosts", "front", "handover", "aws_credentials", "conformance",
           "provider_cakemail", "pgbouncer", "route", "direct", "edge", "credentials", "acme_protocol", "acme_renewal",
           "acme_faults")


def begins(module):
    name = module.rsplit("test_", 1)[-1]
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


def run(module, timeout):
    begin = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "unittest", "-v", module], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace")
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        # As by control-C: it stops the servers that it started.
        process.send_signal(signal.SIGINT)
        try:
            output, _ = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
        output += f"\n{module}: took longer than {timeout} s\n"
    status = process.returncode
    ran = re.findall(r"^Ran (\d+) tests? in", output, re.M)
    total = int(ran[-1]) if ran else 0
    counts = {k: int(n) for k, n in re.findall(r"(failures|errors|skipped)=(\d+)", output.rsplit("\nRan ", 1)[-1])}
    failed = counts.get("failures", 0) + counts.get("errors", 0)
    if status != 0 and failed == 0:
        failed = 1
    # Subtests count as failures of their own: never more than there are tests.
    passed = max(0, total - failed - counts.get("skipped", 0))
    return module, passed, failed, counts.get("skipped", 0), output, time.monotonic() - begin


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-j", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=600)
    parser.add_argument("modules", nargs="+")
    args = parser.parse_args()
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(args.j) as pool:
        for job in concurrent.futures.as_completed([pool.submit(run, m, args.timeout)
                                                   for m in sorted(args.modules, key=begins)]):
            module, good, bad, skipped, output, seconds = job.result()
            passed += good
            failed += bad
            # What tests.support.load counted is of interest in any case.
            print(output if bad else "".join(re.findall(r"^\w+: .*accepted \d+ = .*\n", output, re.M)), end="")
            more = f", {skipped} skipped" if skipped else ""
            print(f"{module}: {good} passed, {bad} failed{more} ({seconds:.0f} s)", flush=True)
    print(f"BLACK BOX: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
