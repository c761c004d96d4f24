#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Changes rtl/ in one place at a time and sees whether the tests notice.

  mutate.py BUILD [--modules "sl_post sl_array"] [--sample N] [--seed S] [--only REGEX] [--minutes M] [--jobs J]

Of every module N mutants are drawn (0: all). One model of the core holds them all (mutants.py); the environment variable
SL_MUTANT chooses one. Each is given to checkfab: two cases of everything, the operations that use its module first; when that does not
notice it, all cases.
A mutant that hangs the core is noticed too. Survivors are printed and have to be explained in
tools/rtl/mutants_explained.txt, a line each: its ID (module, changed text, how), then the reason.
"""
import argparse
import concurrent.futures
import os
import random
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import mutants  # noqa: E402

SLOWER = 6  # times what the unchanged core takes, and 3 s: then it hangs
EXPLAINED = "tools/rtl/mutants_explained.txt"
NOT_CHANGED = {"sl_ctx", "sl_clock_gate"}  # positions of fields; the clock itself
# What reaches a module soonest.
FIRST = [(r"sl_router|sl_top8|sl_exp_neg|sl_div_half", ["--op router"]),
         (r"sl_kv|sl_hadamard|sl_y_rows", ["--op kv_pack", "--op kv_unpack"]),
         (r"sl_reduce", ["--op reduce"]),
         (r"sl_quant|sl_swiglu", ["--op expert --format q8", "--op expert"]),
         (r"sl_prep|sl_core|sl_retire|sl_control|sl_units|sl_ctl|sl_axi", ["--op jobs", "--op list --format q8", "--op router"]),
         (r".", ["--op plain --format int4", "--op list --format q8", "--op expert --format q8"])]
OPERATIONS = ["query", "jobs", "list", "plain", "expert", "reduce", "router", "kv_pack", "kv_unpack"]

PACKAGE = """// SPDX-License-Identifier: Apache-2.0
package sl_mutant_pkg;
  import "DPI-C" function int sl_mutant_number();
  int number = sl_mutant_number();
endpackage
"""
SELECTOR = """/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
int sl_mutant_number(void);
int sl_mutant_number(void)
{
    const char *text = getenv("SL_MUTANT");
    return text ? atoi(text) : 0;
}
"""


def ident_text(ident):
    """The name of a mutant that survives edits elsewhere in the file: module, how, and the changed text."""
    name, _, start, what, source = ident
    return f"{name}: {what}: {' '.join(source.split())}"


def write_if_new(path, text):
    if not os.path.exists(path) or open(path).read() != text:
        with open(path, "w") as out:
            out.write(text)


class Run:
    def __init__(self, args):
        self.args, self.work = args, os.path.join(args.build, "mutate")
        os.makedirs(os.path.join(self.work, "rtl"), exist_ok=True)
        self.chosen, self.count, self.seconds = {}, {}, {}

    def files(self):
        return [line.split("#")[0].strip() for line in open("rtl/rtl.f") if line.split("#")[0].strip()]

    def write_sources(self):
        """Mutated copies, and the list of files that the build reads."""
        out_list, number = [], 0
        for path in self.files():
            name = os.path.basename(path)[:-3]
            if not path.startswith("rtl/sl_") or name in NOT_CHANGED:
                out_list.append(path)
                continue
            text = open(path).read()
            every = mutants.Mutator(name, text, lambda ident: None)
            every.result()
            self.count[name] = len(every.mutants)
            idents = [m[1] for m in every.mutants]
            wanted = self.args.modules.split() if self.args.modules else None
            if wanted is not None and name not in wanted:
                idents = []
            if self.args.only:
                idents = [i for i in idents if re.search(self.args.only, ident_text(i))]
            elif self.args.sample and len(idents) > self.args.sample:
                rng = random.Random(f"{self.args.seed} {name}")
                idents = sorted(rng.sample(idents, self.args.sample), key=lambda i: i[2])
            numbers = {}
            for ident in idents:
                number += 1
                numbers[ident[:4]] = number
                self.chosen[number] = ident
            result = mutants.Mutator(name, text, lambda ident: numbers.get(ident[:4])).result()
            copy = os.path.join(self.work, path)
            write_if_new(copy, result)
            out_list.append(copy)
        pkg = os.path.join(self.work, "rtl", "sl_mutant_pkg.sv")
        write_if_new(pkg, PACKAGE)
        write_if_new(os.path.join(self.work, "mutant.c"), SELECTOR)
        write_if_new(os.path.join(self.work, "rtl.f"), "\n".join([pkg] + out_list) + "\n")

    def make(self, *args):
        result = subprocess.run(["make", "--no-print-directory", "-s", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if result.returncode:
            sys.stdout.write(result.stdout.decode()[-4000:])
            raise SystemExit("mutate.py: the build failed")

    def build(self):
        build, work = self.args.build, self.work
        self.make(f"BUILD={build}", f"{build}/checkfab")
        # checkfab looks for the simulated core beside itself.
        copy = os.path.join(work, "checkfab")
        if os.path.exists(copy):
            os.unlink(copy)
        os.link(os.path.join(build, "checkfab"), copy)
        plain = "mem mem_ideal mem_hbm mem_ddr dram axi_port gtkw".split()
        sources = " ".join(f"sim/{p}.c" for p in plain) + f" sim/sl_sim.c {work}/mutant.c"
        for shape in self.args.shapes.split():
            p, t = shape.split("x")
            self.make(f"BUILD={work}", f"SIM_RTL_F={work}/rtl.f", f"SIM_SRC={sources}",
                      "SIM_LIBS=verilated.o verilated_threads.o verilated_dpi.o", "sim", f"P={p}", f"T={t}")

    # ---- killers: each returns a word for how the mutant was noticed, or None
    def command(self, number, args, limit):
        env = dict(os.environ, SL_MUTANT=str(number))
        try:
            r = subprocess.run(args, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit)
        except subprocess.TimeoutExpired:
            return "hang"
        return None if r.returncode == 0 else "wrong"

    def checkfab(self, number, words):
        for shape in self.args.shapes.split():
            impl = "sim" if shape == "1x1" else f"sim:{shape}"
            base = [os.path.join(self.work, "checkfab"), "--impl", impl]
            start = time.time()
            found = self.command(number, base + words.split(), SLOWER * self.seconds.get((shape, words), 100) + 3)
            if not number:
                self.seconds[(shape, words)] = time.time() - start
            if found:
                return f"{impl} {words} {found}"
        return None

    def quick(self, number):
        """Two cases of each set, the module's own operations first."""
        mine = [] if not number else next(steps for pattern, steps in FIRST if re.match(pattern, self.chosen[number][0]))
        rest = [f"--op {op}" for op in OPERATIONS]
        return self.first_of(number, [f"{w} --n 2" for w in mine + [w for w in rest if w not in mine]])

    def full(self, number):
        """Everything, as CI runs it."""
        mine = next((steps for pattern, steps in FIRST if number and re.match(pattern, self.chosen[number][0])), [])
        own = [w for w in mine if " --" not in w]
        return self.first_of(number, own + [f"--op {op}" for op in OPERATIONS if f"--op {op}" not in own])

    def first_of(self, number, steps):
        for words in steps:
            found = self.checkfab(number, words)
            if found:
                return found
        return None


def module_table(run, fate):
    rows = []
    for name, total in run.count.items():
        mine = [n for n, i in run.chosen.items() if i[0] == name and n in fate]
        if mine:
            killed = sum(1 for n in mine if fate[n])
            rows.append((name, total, len(mine), killed, len(mine) - killed))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--modules")
    parser.add_argument("--only", help="mutants whose ID matches this expression")
    parser.add_argument("--sample", type=int, default=12)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=0, help="then no further mutant is tried (they come in random order)")
    parser.add_argument("--shapes", default="1x1")
    parser.add_argument("--no-build", action="store_true", help="the model of the last run, for the same choice")
    parser.add_argument("--list", action="store_true", help="only count")
    args = parser.parse_args()
    run = Run(args)
    run.write_sources()
    print(f"{sum(run.count.values())} mutants of {len(run.count)} modules; {len(run.chosen)} are tried", flush=True)
    if args.list:
        return
    start = time.time()
    if not args.no_build:
        run.build()
    print(f"built in {time.time() - start:.0f} s", flush=True)
    if run.quick(0) or run.full(0):
        raise SystemExit("mutate.py: the unchanged core fails")
    print(f"unchanged core passes, {time.time() - start:.0f} s", flush=True)
    explained = {}
    if os.path.exists(EXPLAINED):
        for line in open(EXPLAINED):
            if "  -- " in line and not line.startswith("#"):
                key, why = line.rstrip("\n").split("  -- ", 1)
                explained[key.strip()] = why
    fate, log = {}, open(os.path.join(run.work, "fates.txt"), "w")
    order = list(run.chosen)
    random.Random(args.seed).shuffle(order)
    end = time.time() + 60 * args.minutes if args.minutes else None

    def one(number, how):
        if not end or time.time() < end:
            fate[number] = how(number)
            if fate[number] or how == run.full:
                ident = run.chosen[number]
                print(f"{number} {ident_text(ident)} (line {ident[1]}): {fate[number] or 'SURVIVES'}", file=log, flush=True)

    # Quick tests of all, then everything for those that are left.
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(lambda n: one(n, run.quick), order))
        print(f"{sum(1 for n in fate if fate[n])} of {len(fate)} noticed by quick tests, {time.time() - start:.0f} s", flush=True)
        left = [n for n in order if n in fate and not fate[n]]
        list(pool.map(lambda n: one(n, run.full), left))
    print("| module | mutants | tried | noticed | not noticed |\n|---|---|---|---|---|")
    for row in module_table(run, fate):
        print("| " + " | ".join(str(x) for x in row) + " |")
    left = [n for n in fate if not fate[n]]
    unexplained = [n for n in left if ident_text(run.chosen[n]) not in explained]
    for n in unexplained:
        print(f"NOT NOTICED, not explained: {run.chosen[n][0]} line {run.chosen[n][1]}: {ident_text(run.chosen[n])}")
    print(f"{len(fate)} tried, {len(fate) - len(left)} noticed, {len(left) - len(unexplained)} explained, "
          f"{len(unexplained)} open ({time.time() - start:.0f} s)")
    if unexplained:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
