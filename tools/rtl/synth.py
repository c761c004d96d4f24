#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Resources of rtl/ on UltraScale+ by Yosys (synth_xilinx -family xcup), module by module.

  synth.py BUILD [--configs "1x1 4x1"] [--units "sl_post sl_array"] [--write-budget]

Each module is synthesised alone, once for each set of parameters, its children as black boxes; the result is kept in
BUILD/synth/cache under a hash of the elaborated module and the recipe, so that only what changed runs again. Numbers in
the names that Yosys makes up count from one in each module: what it makes of a module depends on nothing but the module.
A unit is a module with everything below it; figures of units and configurations are sums over instances. Nothing is
optimised across the borders of modules, so a sum is an upper bound of what Yosys makes of the whole. Fails when a unit
takes more than tools/rtl/synth_budget.csv allows.

What is counted: LUT = LUT1..6, memories and shift registers made of LUTs by the LUTs they occupy; FF; BRAM = RAMB36,
a RAMB18 as a half; URAM; DSP. CARRY and MUXF cells come with the LUTs and are not counted.
"""
import argparse
import csv
import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import time

CONFIGS = "1x1 1x4 1x16 4x1 4x4 16x1 28x1"
KINDS = ["LUT", "FF", "BRAM", "URAM", "DSP"]
RECIPE = "synth_xilinx -family xcup -uram -noiopad -noclkbuf"
BUDGET = "tools/rtl/synth_budget.csv"
SLACK = 1.05
# Units below sl_core that are not its children.
UNITS = ["sl_kv_pack", "sl_reduce"]
# Of LUTs and FFs a unit may take 5 % and this many more than its budget.
ROUGH = 16
# The cards' devices by their product tables; what the shell takes of them, by a published table of another design on the
# U280 (Vitis Libraries 2022.1, sparse matrix vector multiplication: platform); its registers are a guess.
BOARDS = {"U50": {"LUT": 872e3, "FF": 1743e3, "BRAM": 1344, "URAM": 640, "DSP": 5952},
          "U55C": {"LUT": 1304e3, "FF": 2607e3, "BRAM": 2016, "URAM": 960, "DSP": 9024},
          "U280": {"LUT": 1304e3, "FF": 2607e3, "BRAM": 2016, "URAM": 960, "DSP": 9024}}
SHELL = {"LUT": 165475, "FF": 2 * 165475, "BRAM": 323, "URAM": 64, "DSP": 4}
# Fuller devices are seldom routed at their clock.
ROUTABLE = 0.75
# LUTs of a SLICEM that a cell takes.
LUT_RAM = {"RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM256X1D": 8, "RAM32M": 4, "RAM64M": 4, "RAM32M16": 8,
           "RAM64M8": 8, "RAM64X8SW": 8, "RAM32X16DR8": 8, "RAM64X1S": 1, "RAM32X1S": 1, "RAM128X1S": 2,
           "RAM256X1S": 4, "RAM512X1S": 8, "SRL16E": 1, "SRLC32E": 1, "SRLC16E": 1}
IGNORED = re.compile(r"^(INV|CARRY[48]|MUXF[789]|GND|VCC|BUF|IBUF|OBUF|BUFG)$")


def sources():
    with open("rtl/rtl.f") as f:
        return [line.split("#")[0].strip() for line in f if line.split("#")[0].strip()]


def yosys(script, log):
    """Runs a script; ends the program with the tail of the log where Yosys fails."""
    run = subprocess.run(["nice", "-n", "10", "yosys", "-Q", "-T", "-q", "-l", log, "-p", script],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if run.returncode:
        sys.exit(f"error: yosys failed, see {log}\n" + run.stdout[-2000:])


def spent():
    """Seconds of processor that Yosys and what it starts took so far: other work on the machine does not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def read_json(path):
    """The modules of stat -json; version 0.23 prints a tree behind them that is no JSON."""
    with open(path) as f:
        text = f.read()
    return json.JSONDecoder().raw_decode(text, text.index("{", text.index('"modules"')))[0]


def source_name(module):
    return module.split("\\")[1] if module.startswith("$paramod\\") else module.split("\\")[-1]


def modules_of(path):
    """{name: text} of an RTLIL file, without where things come from."""
    with open(path) as f:
        text = re.sub(r"^ *attribute \\src .*\n", "", f.read(), flags=re.MULTILINE)
    return {m.group(2).lstrip("\\"): m.group(0)
            for m in re.finditer(r"^((?:attribute .*\n)*)module (\S+)\n(?:.*\n)*?end$\n", text, flags=re.MULTILINE)}


def black_box(text):
    """A module's ports."""
    lines = text[text.index("module "):].splitlines()
    ports = [line for line in lines if re.match(r"  (parameter |wire .*\b(input|output|inout) \d)", line)]
    return "\n".join(["attribute \\blackbox 1", lines[0], *ports, "end"]) + "\n"


def renumber(text):
    """Counts the numbers in private names from one."""
    numbers = {}
    text = re.sub(r"\$(\d+)(?=[\s_.:\[])", lambda m: f"${numbers.setdefault(m.group(1), len(numbers) + 1)}", text)
    return f"autoidx {len(numbers) + 1}\n{text}"


class Config:
    """The elaborated core of one configuration: which module contains how many of which."""

    def __init__(self, p, t, work):
        self.p, self.t = p, t
        base = f"{work}/p{p}t{t}"
        # Numbers of one length: Yosys sorts by names.
        with open(f"{base}.il", "w") as f:
            f.write("autoidx 1000000\n")
        # A module around it: parameters of a top cannot be set without confusing this version.
        with open(f"{base}.sv", "w") as f:
            f.write(f"module sl_synth; (* keep *) sl_core #(.P({p}), .T({t})) core (); endmodule\n")
        yosys(f"read_rtlil {base}.il; read_verilog -sv {' '.join(sources())} {base}.sv; hierarchy -check -top sl_synth; "
              f"tee -q -o {base}.json stat -json; write_rtlil {base}.il", f"{base}.log")
        cells = {n.lstrip("\\"): m["num_cells_by_type"] for n, m in read_json(f"{base}.json").items()}
        cells = {n: {c.lstrip("\\"): k for c, k in m.items()} for n, m in cells.items()}
        self.children = {n: {c: k for c, k in m.items() if c in cells} for n, m in cells.items()}
        self.texts = modules_of(f"{base}.il")

    def core(self):
        return next(m for m in self.children if source_name(m) == "sl_core")

    def alone(self, name):
        """A module with its children as black boxes."""
        boxes = "".join(black_box(self.texts[c]) for c in sorted(self.children[name]))
        return renumber(boxes + self.texts[name])


class Cache:
    def __init__(self, work):
        self.dir = f"{work}/cache"
        os.makedirs(self.dir, exist_ok=True)
        version = subprocess.run(["yosys", "-V"], stdout=subprocess.PIPE, text=True, check=True).stdout
        self.common = hashlib.sha256((version + RECIPE).encode())

    def module(self, config, name):
        """Resources of one module without its children."""
        text = config.alone(name)
        key = self.common.copy()
        key.update(text.encode())
        path = f"{self.dir}/{source_name(name)}-{key.hexdigest()[:16]}"
        if not os.path.exists(path + ".json"):
            start, cpu = time.time(), spent()
            with open(path + ".il", "w") as f:
                f.write(text)
            quoted = name if name.startswith("$") else "\\" + name
            yosys(f"read_rtlil {path}.il; hierarchy -top {quoted}; {RECIPE}; "
                  f"tee -q -o {path}.part stat -json {quoted}", f"{path}.log")
            os.rename(path + ".part", path + ".json")
            print(f"  {source_name(name)} of P={config.p} T={config.t}: {time.time() - start:.0f} s, "
                  f"{spent() - cpu:.0f} s of processor", file=sys.stderr, flush=True)
        stat = read_json(path + ".json")
        cells = next(m for n, m in stat.items() if n.lstrip("\\") == name)["num_cells_by_type"]
        return count(cells, name, config.children[name])


def count(cells, where, children):
    total = dict.fromkeys(KINDS, 0)
    for cell, n in cells.items():
        cell = cell.lstrip("\\")
        if re.match(r"^LUT[1-6]$", cell):
            total["LUT"] += n
        elif re.match(r"^FD[RSCP]E$", cell):
            total["FF"] += n
        elif cell in LUT_RAM:
            total["LUT"] += LUT_RAM[cell] * n
        elif cell.startswith("RAMB36"):
            total["BRAM"] += n
        elif cell.startswith("RAMB18"):
            total["BRAM"] += n / 2
        elif cell.startswith("URAM288"):
            total["URAM"] += n
        elif cell.startswith("DSP48"):
            total["DSP"] += n
        elif cell not in children and not IGNORED.match(cell):
            sys.exit(f"error: {where} has cells {cell}, which nobody counts")
    return total


def parts(config):
    """{unit: {module: instances}} of everything in the core. A unit is a child of the core with all below it, without
    what is a unit itself. Where a parent has more than two variants of one module (weight ports, which differ by their
    number), the others count as the second."""
    units = {}

    def walk(unit, module, n):
        units.setdefault(unit, {})
        units[unit][module] = units[unit].get(module, 0) + n
        kinds = {}
        for child, k in config.children[module].items():
            kinds.setdefault(source_name(child), []).append((child, k))
        for name, variants in kinds.items():
            for i, (child, k) in enumerate(variants):
                walk(name if unit == "sl_core" or name in UNITS else unit, variants[min(i, 1)][0], n * k)

    walk("sl_core", config.core(), 1)
    return units


def measure(config, cache, only):
    """{unit: resources}."""
    table = {}
    for unit, modules in parts(config).items():
        if only and unit not in only:
            continue
        total = dict.fromkeys(KINDS, 0)
        for module, n in modules.items():
            one = cache.module(config, module)
            for k in KINDS:
                total[k] += n * one[k]
        if any(total.values()):
            table[unit] = total
    return table


def whole(table):
    return {k: sum(unit[k] for unit in table.values()) for k in KINDS}


def number(x):
    return f"{x:,.1f}".removesuffix(".0")


def fits(total, board):
    """The resource that is scarcest on a card, and its share of what the shell leaves."""
    share, kind = max((total[k] / (BOARDS[board][k] - SHELL[k]), k) for k in KINDS)
    word = "yes" if share <= ROUTABLE else "tight" if share <= 1 else "no"
    return f"{word} ({kind} {100 * share:.0f} %)"


def markdown(tables):
    lines = ["| P x T | " + " | ".join(KINDS) + " | " + " | ".join(f"fits {b}?" for b in BOARDS) + " |",
             "|---" * (1 + len(KINDS) + len(BOARDS)) + "|"]
    for name, table in tables.items():
        total = whole(table)
        lines.append(f"| {name} | " + " | ".join(number(total[k]) for k in KINDS) + " | "
                     + " | ".join(fits(total, b) for b in BOARDS) + " |")
    for name, table in tables.items():
        lines += ["", f"| units of {name} | " + " | ".join(KINDS) + " |", "|---" * (1 + len(KINDS)) + "|"]
        for unit, r in table.items():
            lines.append(f"| {unit} | " + " | ".join(number(r[k]) for k in KINDS) + " |")
        lines.append("| sum | " + " | ".join(number(whole(table)[k]) for k in KINDS) + " |")
    return "\n".join(lines)


def read_budget():
    with open(BUDGET) as f:
        rows = csv.DictReader(line for line in f if not line.startswith("#"))
        return {(r["config"], r["unit"]): {k: float(r[k]) for k in KINDS} for r in rows}


def write_budget(tables):
    with open(BUDGET, "w", newline="") as f:
        f.write("# SPDX-License-Identifier: Apache-2.0\n")
        f.write("# What each unit took when this was written (tools/rtl/synth.py --write-budget).\n")
        out = csv.writer(f, lineterminator="\n")
        out.writerow(["config", "unit"] + KINDS)
        for name, table in tables.items():
            for unit, r in table.items():
                out.writerow([name, unit] + [f"{r[k]:.1f}".removesuffix(".0") for k in KINDS])


def check(tables, complete):
    """Prints what grew; the number of units that keep to the budget and of those that do not."""
    budget = read_budget()
    passed = failed = 0
    for name, table in tables.items():
        for unit, r in table.items():
            allowed = budget.get((name, unit))
            over = ["no budget"] if allowed is None else [
                f"{k} {number(r[k])}, budget {number(allowed[k])}"
                for k in KINDS if r[k] > allowed[k] * SLACK + (ROUGH if k in ("LUT", "FF") else 0)]
            passed, failed = (passed, failed + 1) if over else (passed + 1, failed)
            if over:
                print(f"FAIL {unit} of {name}: {'; '.join(over)}")
        for gone in sorted(u for c, u in budget if c == name and u not in table) if complete else []:
            failed += 1
            print(f"FAIL {gone} of {name} has a budget and is no unit")
    return passed, failed


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("build")
    args.add_argument("--configs", default=CONFIGS)
    args.add_argument("--units", default="", help="only these")
    args.add_argument("--write-budget", action="store_true")
    options = args.parse_args()
    only = options.units.split()
    work = f"{options.build}/synth"
    os.makedirs(work, exist_ok=True)
    cache = Cache(work)
    tables = {}
    for name in options.configs.split():
        config = Config(*(int(x) for x in name.split("x")), work)
        tables[name] = measure(config, cache, only)
    print(f"  all: {spent():.0f} s of processor", file=sys.stderr)
    text = markdown(tables)
    print(text)
    with open(f"{work}/table.md", "w") as f:
        f.write(text + "\n")
    if options.write_budget:
        write_budget(tables)
    passed, failed = check(tables, not only)
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
