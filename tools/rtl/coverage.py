#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which lines of rtl/ checkfab reaches, module by module.

  coverage.py BUILD [--shapes "1x1 4x4"] [--formats "q8 int4"]

Builds the core with line counts (make sim COVERAGE=1), runs every operation, format and class of shapes (whole experts
excepted), then short launches behind memories that answer with errors, late or never: their results are the business of
tests/test_sim_faults.c, here only lines count. Counts of all runs are added. A line that was never reached has to be
explained in tools/rtl/coverage_explained.txt (`module: line of source  -- why`); others make it fail.
"""
import argparse
import collections
import glob
import json
import os
import re
import subprocess
import sys

EXPLAINED = "tools/rtl/coverage_explained.txt"
# Faults of every beat from the first on (how many), and what is run behind each.
FAULTS = [(["read-error@{n}:ctl", "dead@{n}:ctl"], range(1, 60)),
          (["read-error@{n}", "dead@{n}", "write-error@{n}"], range(1, 40)),
          (["late@{n}+1200:ctl", "late@{n}+1200", "late@{n}+9000", "late@{n}+9000:ctl", "write-late@{n}+1200", "write-dead@{n}"],
           (1, 2, 3, 4, 6, 9, 14, 22, 34, 55, 90))]
FAULTY = [("list", "mix", "q8"), ("list", "overwritten", "q8"), ("expert", "indirect", "q8"), ("router", "batch", "attention"),
          ("reduce", "batch", "-"), ("kv_pack", "batch", "int8"), ("plain", "batch", "q8")]


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

    def run(self, device, words, sound=True):
        # checkfab keeps 63 characters of a device's name.
        self.n_run += 1
        data = os.path.join(self.dir, f"{self.n_run}.dat")
        args = [self.checkfab, "--impl", f"{device},coverage={self.n_run}.dat", *words]
        assert len(args[2]) < 64, args[2]
        try:
            result = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900,
                                    cwd=self.dir)
        except subprocess.TimeoutExpired:
            result = None
        if sound and (result is None or result.returncode):
            self.wrong += 1
            print(f"FAIL {' '.join(args)}\n{result.stdout.decode()[-1500:] if result else 'no end'}")
        if os.path.exists(data):
            read_counts(data, self.counts)
            os.unlink(data)
        elif sound:
            raise SystemExit(f"coverage.py: no counts of {' '.join(args)}")


def read_counts(path, counts):
    """Adds {(module, line): count} of one file. A line counts what its block counts."""
    for record in open(path, errors="replace"):
        m = re.match(r"C '(.*)' (\d+)$", record)
        if not m:
            continue
        fields = dict(f.split("\x02", 1) for f in m.group(1).split("\x01") if "\x02" in f)
        name = fields.get("f", "")
        if not re.search(r"rtl/sl_\w+\.sv$", name):
            continue
        lines = fields.get("S", fields["l"])
        for part in lines.split(","):
            first, _, last = part.partition("-")
            for line in range(int(first), int(last or first) + 1):
                counts[(os.path.basename(name)[:-3], line)] += int(m.group(2))


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
        subprocess.run(make + [f"{args.build}/checkfab"], check=True, stdout=subprocess.DEVNULL)
        for shape in shapes:
            p, t = shape.split("x")
            subprocess.run(make + ["sim", f"P={p}", f"T={t}", "COVERAGE=1"], check=True, stdout=subprocess.DEVNULL)
        runs = Runs(args.build)
        for shape in shapes:
            for op, classes, form in sets_of(runs.checkfab):
                device = f"sim:{shape}" + (",mem=ideal,stall=30" if classes in ("odd", "mix") else "")
                runs.run(device, ["--op", op, "--shape", classes, "--format", form])
        for faults, places in FAULTS:
            for fault in faults:
                for n in places:
                    for op, classes, form in FAULTY:
                        runs.run(f"sim:{shapes[0]},timeout=999,fault={fault.format(n=n)}",
                                 ["--op", op, "--shape", classes, "--format", form, "--n", "2"], sound=False)
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
