#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which lines of rtl/ checkfab reaches, module by module.

  coverage.py BUILD [--shapes "1x1 4x4"] [--formats "q8 int4"]

Builds the core with line counts (make sim COVERAGE=1) and runs every operation, format and class of shapes of checkfab (whole
experts excepted), then the unit tests of job lists (core_jobs) and of memories that answer with errors, late or never
(sim_faults) on it. All of them have to pass. Counts of all runs are added. A line that was never reached has to be explained in tools/rtl/coverage_explained.txt (`module: line of source  -- why`); others make it fail.
"""
import argparse
import collections
import glob
import json
import os
import re
import subprocess
import sys
import threading

EXPLAINED = "tools/rtl/coverage_explained.txt"
# Suites of unit tests, what they need, and the variable that brings the coverage to their devices. They write to a pipe.
SUITES = [("core_jobs", ["1x1"], {"SL_DEVICES": "sim:1x1,mem=ideal,coverage=pipe"}),
          ("sim_faults", ["1x1", "4x1"], {"SL_FAULT_MORE": ",coverage=pipe", "SL_NEED_SIM": "1"})]


def sets_of(checkfab):
    out = subprocess.run([checkfab, "--list"], stdout=subprocess.PIPE, check=True).stdout.decode()
    for line in out.splitlines():
        m = re.match(r"(\w+) +(\w+) +\d+ shapes; formats: (.*)", line)
        if m and m.group(2) != "real":
            for form in m.group(3).split():
                yield m.group(1), m.group(2), form


class Runs:
    def __init__(self, build):
        self.checkfab = os.path.abspath(os.path.join(build, "checkfab"))
        self.dir = os.path.join(build, "coverage")
        os.makedirs(self.dir, exist_ok=True)
        for old in glob.glob(os.path.join(self.dir, "*.dat")):
            os.unlink(old)
        self.n_run, self.wrong, self.counts = 0, 0, collections.Counter()

    def run(self, device, words):
        # checkfab keeps 63 characters of a device's name.
        self.n_run += 1
        data = os.path.join(self.dir, f"{self.n_run}.dat")
        args = [self.checkfab, "--impl", f"{device},coverage={self.n_run}.dat", *words]
        assert len(args[2]) < 64, args[2]
        self.ends_well(args, {})
        if not os.path.exists(data):
            raise SystemExit(f"coverage.py: no counts of {' '.join(args)}")
        with open(data, errors="replace") as records:
            add_counts(records, self.counts)
        os.unlink(data)

    def ends_well(self, args, more):
        result = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.dir, env=dict(os.environ, **more))
        if result.returncode:
            self.wrong += 1
            print(f"FAIL {' '.join(args)}\n{result.stdout.decode()[-1500:]}")

    def suite(self, program, name, more):
        """Each device of the suite writes its counts when it is closed, thousands in all."""
        self.n_run += 1
        pipe = os.path.join(self.dir, "pipe")
        if os.path.exists(pipe):
            os.unlink(pipe)
        os.mkfifo(pipe)
        both_ends = os.open(pipe, os.O_RDWR)  # so that the reader meets no end before ours
        before = sum(self.counts.values())

        def read():
            with os.fdopen(os.dup(both_ends), errors="replace") as records:
                add_counts(iter(records.readline, "end\n"), self.counts)

        reader = threading.Thread(target=read)
        reader.start()
        self.ends_well([program, name], more)
        os.write(both_ends, b"end\n")
        reader.join()
        os.close(both_ends)
        os.unlink(pipe)
        if sum(self.counts.values()) == before:
            raise SystemExit(f"coverage.py: no counts of {name}")


PLACES = {}  # {a point of a file of counts: its (module, line)s}


def places_of(point):
    fields = dict(f.split("\x02", 1) for f in point.split("\x01") if "\x02" in f)
    name = fields.get("f", "")
    if not re.search(r"rtl/sl_\w+\.sv$", name):
        return []
    places = []
    for part in fields.get("S", fields["l"]).split(","):
        first, _, last = part.partition("-")
        places += [(os.path.basename(name)[:-3], line) for line in range(int(first), int(last or first) + 1)]
    return places


def add_counts(records, counts):
    """Adds {(module, line): count}. A line counts what its block counts."""
    for record in records:
        if not record.startswith("C '"):
            continue
        point, _, count = record.rpartition("' ")
        if point not in PLACES:
            PLACES[point] = places_of(point[3:])
        count = int(count)
        for place in PLACES[point]:
            counts[place] += count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--shapes", default="1x1 4x4")
    parser.add_argument("--only-report", action="store_true")
    args = parser.parse_args()
    saved = os.path.join(args.build, "coverage", "counts.json")
    if not args.only_report:
        shapes = args.shapes.split()
        make = ["make", "--no-print-directory", "-s", f"BUILD={args.build}"]
        subprocess.run(make + [f"{args.build}/checkfab", f"{args.build}/unit_tests"], check=True, stdout=subprocess.DEVNULL)
        for shape in dict.fromkeys(shapes + [shape for _, needs, _ in SUITES for shape in needs]):
            p, t = shape.split("x")
            subprocess.run(make + ["sim", f"P={p}", f"T={t}", "COVERAGE=1"], check=True, stdout=subprocess.DEVNULL)
        runs = Runs(args.build)
        for shape in shapes:
            for op, classes, form in sets_of(runs.checkfab):
                device = f"sim:{shape}" + (",mem=ideal,stall=30" if classes in ("odd", "mix") else "")
                runs.run(device, ["--op", op, "--shape", classes, "--format", form])
        for name, _, more in SUITES:
            runs.suite(os.path.abspath(os.path.join(args.build, "unit_tests")), name, more)
        if runs.wrong:
            raise SystemExit(f"coverage.py: {runs.wrong} runs failed")
        print(f"{runs.n_run} runs", flush=True)
        with open(saved, "w") as out:
            json.dump([[name, line, count] for (name, line), count in sorted(runs.counts.items())], out)
    report(collections.Counter({(name, line): count for name, line, count in json.load(open(saved))}))


def report(counts):
    explained = set()
    if os.path.exists(EXPLAINED):
        explained = {line.split("  -- ")[0].strip() for line in open(EXPLAINED) if "  -- " in line and line[0] != "#"}
    lines = collections.defaultdict(dict)
    for (name, line), count in counts.items():
        lines[name][line] = count
    open_lines, total, reached, known, seen = [], 0, 0, 0, set()
    print("| module | lines with a count | reached | explained | open |\n|---|---|---|---|---|")
    for name in sorted(lines):
        source = open(f"rtl/{name}.sv").read().splitlines()
        missed = [n for n, c in sorted(lines[name].items()) if c == 0]
        keys = {n: f"{name}: {' '.join(source[n - 1].split())}" for n in missed}
        here = [n for n in missed if keys[n] not in explained]
        seen.update(keys.values())
        open_lines += [f"{name} line {n}: {keys[n]}" for n in here]
        total, reached = total + len(lines[name]), reached + len(lines[name]) - len(missed)
        known += len(missed) - len(here)
        print(f"| {name} | {len(lines[name])} | {len(lines[name]) - len(missed)} | {len(missed) - len(here)} | {len(here)} |")
    for line in open_lines:
        print(f"NOT REACHED {line}")
    for key in sorted(explained - seen):
        print(f"note: explained, but reached or gone: {key}")
    print(f"{total} lines, {reached} reached ({100 * reached / max(total, 1):.2f} %), {known} explained, {len(open_lines)} open")
    if open_lines or not total:
        sys.exit(1)


if __name__ == "__main__":
    main()
