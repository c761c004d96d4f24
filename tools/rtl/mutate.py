#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Changes rtl/ in one place at a time and sees whether the tests notice.

  mutate.py BUILD [--modules "sl_post sl_array"] [--sample N] [--seed S] [--only REGEX] [--minutes M] [--jobs J]

Of every module N mutants are drawn (0: all). One model of the core holds them all (mutants.py); the environment variable
SL_MUTANT chooses one. Until one of them notices, each mutant is given to
  quick   two cases of everything that checkfab has, the operations that use its module first;
  bench   the bench of its module (tests/rtl), built from the changed copies in the same way;
  suites  unit tests of registers and times (sim_core), of job lists (core_jobs) and of memories that fail (sim_faults);
  full    all cases of checkfab;
  formal  the proof of its module (rtl/formal), which then no longer succeeds;
  units   other benches that have the module among their sources;
  stall   checkfab behind a memory that stalls at random, and with four ports and four columns.
A mutant that hangs the core is noticed too. What noticed a mutant is tried first in the next run (BUILD/mutate/killers.json).
Survivors are printed and have to be explained in tools/rtl/mutants_explained.txt, a line each: its ID (module, how, changed
text, line of source), then the reason. Explained ones get `quick` and `bench` only.
"""
import argparse
import concurrent.futures
import glob
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import mutants  # noqa: E402

SLOWER = 6  # times what the unchanged core takes, and 3 s: then it hangs
STAGES = ["quick", "bench", "suites", "full", "formal", "units", "stall"]
SUITES = {"sim_core": {}, "core_jobs": {"SL_DEVICES": "sim:1x1,mem=ideal"}, "sim_faults": {}}  # and their environment
EXPLAINED = "tools/rtl/mutants_explained.txt"
NOT_CHANGED = {"sl_ctx", "sl_clock_gate"}  # positions of fields; the clock itself
# What reaches a module soonest.
FIRST = [(r"sl_router|sl_top8|sl_exp_neg|sl_div_half", ["--op router"]),
         (r"sl_kv|sl_hadamard|sl_y_rows", ["--op kv_pack", "--op kv_unpack"]),
         (r"sl_reduce", ["--op reduce"]),
         (r"sl_quant|sl_swiglu", ["--op expert --format q8", "--op expert"]),
         (r"sl_prep|sl_core|sl_retire|sl_control|sl_units|sl_ctl|sl_axi", ["--op jobs", "--op list --format q8", "--op router"]),
         (r".", ["--op plain --format int4", "--op list --format q8", "--op expert --format q8"])]
BENCH_ARGS = ["+seed=1", "+verilator+rand+reset+2", "+verilator+seed+1"]
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


LINES = {}


def ident_text(ident):
    """The name of a mutant that survives edits elsewhere in the file: module, how, the changed text, its line."""
    name, line, _, what, source = ident
    if name not in LINES:
        LINES[name] = open(f"rtl/{name}.sv").read().splitlines()
    whole = " ".join(LINES[name][line - 1].split())
    return f"{name}: {what}: {' '.join(source.split())} @ {whole}"


def write_if_new(path, text):
    if not os.path.exists(path) or open(path).read() != text:
        with open(path, "w") as out:
            out.write(text)


class Run:
    def __init__(self, args):
        self.args, self.work = args, os.path.join(args.build, "mutate")
        os.makedirs(os.path.join(self.work, "rtl"), exist_ok=True)
        self.chosen, self.count, self.seconds, self.built = {}, {}, {}, {}
        self.lock = threading.RLock()
        self.killers = os.path.join(self.work, "killers.json")
        self.known = json.load(open(self.killers)) if os.path.exists(self.killers) else {}

    def save_known(self):
        with self.lock:
            with open(self.killers + ".part", "w") as out:
                json.dump(self.known, out, indent=0)
            os.replace(self.killers + ".part", self.killers)

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
        self.link("checkfab")
        self.core("1x1")

    def link(self, program):
        """checkfab and the unit tests look for the simulated core beside themselves."""
        copy = os.path.join(self.work, program)
        if os.path.exists(copy):
            os.unlink(copy)
        os.link(os.path.join(self.args.build, program), copy)

    def core(self, shape):
        plain = "mem mem_ideal mem_hbm mem_ddr dram axi_port gtkw".split()
        sources = " ".join(f"sim/{p}.c" for p in plain) + f" sim/sl_sim.c {self.work}/mutant.c"
        p, t = shape.split("x")
        self.make(f"BUILD={self.work}", f"SIM_RTL_F={self.work}/rtl.f", f"SIM_SRC={sources}",
                  "SIM_LIBS=verilated.o verilated_threads.o verilated_dpi.o", "sim", f"P={p}", f"T={t}")

    def once(self, what, build):
        """Builds what is not always needed, when it is needed first."""
        with self.lock:
            if what not in self.built:
                start = time.time()
                self.built[what] = build()
                print(f"{what} built in {time.time() - start:.0f} s", flush=True)
            return self.built[what]

    def bench(self, name):
        """A bench of tests/rtl on the changed copies."""
        where = os.path.join(self.work, "bench", f"tb_{name}")
        program = os.path.join(where, f"Vtb_{name}")
        objects = [f"{self.args.build}/bench/obj/{f[:-2]}.o" for f in bench_files(name) if f.endswith(".c")]
        self.make(f"BUILD={self.args.build}", *objects)
        selector = os.path.join(self.work, "mutant.o")
        include = subprocess.check_output(["verilator", "--getenv", "VERILATOR_ROOT"], text=True).strip() + "/include/vltstd"
        subprocess.run(["cc", "-O2", "-isystem", include, "-c", "-o", selector, os.path.join(self.work, "mutant.c")], check=True)
        sources = [os.path.join(self.work, "rtl", "sl_mutant_pkg.sv")]
        for f in bench_files(name):
            copy = os.path.join(self.work, f)
            sources += [] if f.endswith(".c") else [copy if os.path.exists(copy) else f]
        os.makedirs(where, exist_ok=True)
        if not os.path.exists(program) or max(map(os.path.getmtime, sources + objects)) > os.path.getmtime(program):
            words = "--binary --timing --assert -O3 --threads 1 --x-assign unique --x-initial unique -Wno-fatal -Wno-lint -Wno-style"
            with open(os.path.join(where, "build.log"), "w") as log:
                done = subprocess.run(["verilator", *words.split(), "-LDFLAGS", "-lm", "-MAKEFLAGS", "OPT_FAST=-O1 OPT_SLOW=-O0",
                                       "--Mdir", where, "--top-module", f"tb_{name}", *sources,
                                       *[os.path.abspath(o) for o in objects + [selector]]], stdout=log, stderr=log)
            if done.returncode:
                raise SystemExit(f"mutate.py: tb_{name} cannot be built, see {where}/build.log")
            os.utime(program)
        start = time.time()
        if self.command(0, [program, *BENCH_ARGS], 300):
            raise SystemExit(f"mutate.py: tb_{name} fails on what is not changed")
        return program, time.time() - start

    # ---- killers: each returns a word for how the mutant was noticed, or None
    def command(self, number, args, limit, **more):
        env = dict(os.environ, SL_MUTANT=str(number), **more)
        try:
            r = subprocess.run(args, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit)
        except subprocess.TimeoutExpired:
            return "hang"
        return None if r.returncode == 0 else "wrong"

    def timed(self, number, step, args, **more):
        """How long the unchanged core takes is measured when a step is needed first."""
        if step not in self.seconds:
            with self.lock:
                if step not in self.seconds:
                    start = time.time()
                    if self.command(0, args, 900, **more):
                        raise SystemExit(f"mutate.py: the unchanged core fails: {step}")
                    self.seconds[step] = time.time() - start
        return self.command(number, args, SLOWER * self.seconds[step] + 3, **more)

    def step(self, number, step):
        """One step: `checkfab IMPL WORDS`, `bench NAME`, `formal MODULE`, `suite NAME`."""
        how, _, rest = step.partition(" ")
        if how == "checkfab":
            impl, _, words = rest.partition(" ")
            shape = re.match(r"sim:(\dx\d)", impl)
            if shape and shape.group(1) != "1x1":
                self.once(f"core {shape.group(1)}", lambda: self.core(shape.group(1)))
            return self.timed(number, step, [os.path.join(self.work, "checkfab"), "--impl", impl, *words.split()])
        if how == "bench":
            program, seconds = self.once(step, lambda: self.bench(rest))
            return self.command(number, [program, *BENCH_ARGS], SLOWER * seconds + 3)
        if how == "formal":
            return self.formal(number, rest)
        self.once("unit tests", self.unit_tests)
        return self.timed(number, step, [os.path.join(self.work, "unit_tests"), rest], SL_NEED_SIM="1", **SUITES[rest])

    def unit_tests(self):
        self.make(f"BUILD={self.args.build}", f"{self.args.build}/unit_tests")
        self.link("unit_tests")
        self.core("4x1")

    def formal(self, number, name):
        """The module with this one change, under its properties."""
        if number:  # without a change they hold
            self.once(f"formal {name}", lambda: self.formal(0, name))
        ident = self.chosen.get(number, [None])
        text = mutants.Mutator(name, open(f"rtl/{name}.sv").read(), lambda i: number if i[:4] == ident[:4] else None).result()
        where = os.path.join(self.work, "formal", str(number))
        os.makedirs(where, exist_ok=True)
        with open(os.path.join(where, f"{name}.sv"), "w") as out:
            out.write(text.replace("sl_mutant_pkg::number", str(number)))
        try:
            out = subprocess.run(["tools/rtl/prove.sh", where, name], env=dict(os.environ, CHANGED=where), stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, timeout=200, text=True).stdout
        except subprocess.TimeoutExpired:
            out = ""  # nothing was found out
        shutil.rmtree(where)
        refuted = "Status: FAILED" in out
        if not number and "1 passed, 0 failed" not in out:
            raise SystemExit(f"mutate.py: {name} cannot be proved:\n{out}")
        return "refuted" if refuted else None

    def stages(self, name):
        """(stage, its steps) for a module."""
        own = next(steps for pattern, steps in FIRST if re.match(pattern, name))
        quick = own + [f"--op {op}" for op in OPERATIONS if f"--op {op}" not in own]
        whole = [w for w in own if " --" not in w]
        whole += [f"--op {op}" for op in OPERATIONS if f"--op {op}" not in whole]
        yield "quick", [f"checkfab sim {w} --n 2" for w in quick]
        yield "bench", [f"bench {b}" for b in benches_of(name) if f"sl_{b}".startswith(name[:-4] if "_pkg" in name else name)]
        numeric = re.match(r"sl_(num|dot|swiglu|quant|scale)", name)
        yield "suites", [] if numeric else [f"suite {suite}" for suite in SUITES]
        yield "full", [f"checkfab sim {w}" for w in whole]
        yield "formal", [f"formal {name}"] if os.path.exists(f"rtl/formal/{name}.svh") else []
        yield "units", [f"bench {b}" for b in benches_of(name)] if name != "sl_num_pkg" else []
        stalled = [f"checkfab sim:mem=ideal,stall=30,latency=300 {w}" for w in whole if w.split()[1] in ("router", "reduce")
                   or w.split()[1][:3] == "kv_"]
        if re.match(r"sl_(router|kv|reduce|hadamard|exp|div_half|top8)", name):
            yield "stall", stalled
        elif not numeric:
            yield "stall", [f"checkfab {impl} {w}" for impl in ("sim:4x4,mem=ideal,stall=30", "sim:mem=ideal,stall=30,latency=300")
                            for w in ("--op plain", "--op list", "--op expert")] + stalled

    def notice(self, number, explained):
        """(stage, step, wrong or hang) for what noticed it first, or None."""
        name, key = self.chosen[number][0], str(self.chosen[number])
        tried = set()
        known = self.known.get(key)
        if known:
            tried.add(known[1])
            found = self.step(number, known[1])
            if found:
                return known[0], known[1], found
        for stage, steps in self.stages(name):
            if (explained and stage not in ("quick", "bench")) or stage not in self.args.stages.split():
                continue
            for step in steps:
                found = None if step in tried else self.step(number, step)
                if found:
                    self.known[key] = (stage, step)
                    return stage, step, found
        return None


def bench_files(name):
    path = f"tests/rtl/tb_{name}.f"
    if os.path.exists(path):
        return [f for line in open(path) for f in line.split("#")[0].split()]
    own = f"tests/rtl/tb_{name}.c"
    return ["abi/gen/sl_abi_pkg.sv", "rtl/gen/sl_table_pkg.sv", "rtl/sl_num_pkg.sv", f"rtl/sl_{name}.sv",
            f"tests/rtl/tb_{name}.sv"] + ([own] if os.path.exists(own) else []) + ["tests/ref/ref_num.c"]


def benches_of(module):
    """Benches that have the module among their sources, its own first."""
    names = sorted(os.path.basename(p)[3:-3] for p in glob.glob("tests/rtl/tb_*.sv"))
    return sorted((n for n in names if f"rtl/{module}.sv" in bench_files(n)), key=lambda n: f"sl_{n}" != module)


def table(run, fate):
    print("| module | mutants | tried | " + " | ".join(STAGES) + " | not noticed |\n|" + "---|" * (len(STAGES) + 4))
    names = [name for name in run.count if any(run.chosen[n][0] == name for n in fate)]
    for name in names + ["all"]:
        mine = [n for n in fate if name in (run.chosen[n][0], "all")]
        total = run.count[name] if name != "all" else sum(run.count[n] for n in names)
        by = [sum(1 for n in mine if fate[n] and fate[n][0] == stage) for stage in STAGES]
        print("| " + " | ".join(str(x) for x in (name, total, len(mine), *by, sum(1 for n in mine if not fate[n]))) + " |")


def read_explained():
    explained = {}
    if os.path.exists(EXPLAINED):
        for line in open(EXPLAINED):
            if "  -- " in line and not line.startswith("#"):
                key, why = line.rstrip("\n").split("  -- ", 1)
                explained[key.strip()] = why
    return explained


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--modules")
    parser.add_argument("--only", help="mutants whose ID matches this expression")
    parser.add_argument("--sample", type=int, default=6)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=0, help="then no further mutant is tried (they come in random order)")
    parser.add_argument("--stages", default=" ".join(STAGES), help="only these")
    parser.add_argument("--open", action="store_true", help="only what no run has noticed yet")
    parser.add_argument("--list", action="store_true", help="only count")
    args = parser.parse_args()
    run = Run(args)
    run.write_sources()
    print(f"{sum(run.count.values())} mutants of {len(run.count)} modules; {len(run.chosen)} are tried", flush=True)
    if args.list:
        return
    start = time.time()
    run.build()
    print(f"built in {time.time() - start:.0f} s", flush=True)
    explained = read_explained()
    fate, log = {}, open(os.path.join(run.work, "fates.txt"), "w")
    order = [n for n in run.chosen if not (args.open and str(run.chosen[n]) in run.known)]
    random.Random(args.seed).shuffle(order)
    end = time.time() + 60 * args.minutes if args.minutes else None

    def one(number):
        if end and time.time() >= end:
            return
        ident = run.chosen[number]
        fate[number] = run.notice(number, ident_text(ident) in explained)
        print(f"{number} {ident[0]} line {ident[1]}: {ident_text(ident)}: {' '.join(fate[number] or ['SURVIVES'])}", file=log,
              flush=True)
        run.save_known()

    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(one, order))
    table(run, fate)
    left = [n for n in sorted(fate) if not fate[n]]
    unexplained = [n for n in left if ident_text(run.chosen[n]) not in explained]
    for n in unexplained:
        print(f"NOT NOTICED, not explained: line {run.chosen[n][1]}: {ident_text(run.chosen[n])}")
    for n in fate:
        if fate[n] and ident_text(run.chosen[n]) in explained:
            print(f"note: explained, but noticed by {fate[n][1]}: {ident_text(run.chosen[n])}")
    print(f"{len(fate)} tried, {len(fate) - len(left)} noticed, {len(left) - len(unexplained)} explained, "
          f"{len(unexplained)} open ({time.time() - start:.0f} s)")
    if unexplained:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
