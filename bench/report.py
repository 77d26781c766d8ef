#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: report.py [--json OUT] RUN...

Reads the rows of each run, RUN/rows.json, where RUN ends in MACHINE/MODE; prints
a table for each machine; writes all rows as one JSON array to OUT. A figure that
is missing or is no figure is an error that names it, and then nothing is
written.
"""
import argparse
import json
import math
import os
import sys

OPS = ("touch", "protect", "munmap", "cow", "fork", "exec", "pipe", "shell")
FIGURES = ("insns", "exits", "pf_exits")


def read_rows(run):
    try:
        with open(os.path.join(run, "rows.json")) as f:
            return [json.loads(line) for line in f]
    except (OSError, ValueError) as e:
        sys.exit(f"report: {run}: no rows: {e}")


def problem_of(row, machine, mode):
    """What is wrong with a row, or None."""
    if row["machine"] != machine or row["mode"] != mode:
        return f"row is of {row['machine']} {row['mode']}"
    if not isinstance(row["unit"], str):
        return "unit is no string"
    if not isinstance(row["n"], int) or row["n"] < 1:
        return "n is no count"
    for name in FIGURES:
        value = row[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return f"{name} is no number"
        if not math.isfinite(value) or value < 0:
            return f"{name} is {value}"
    if row["insns"] <= 0:
        return "insns is 0"
    return None


def collect(runs):
    """{machine: {mode: {op: row}}}; exits when any is missing or wrong."""
    tables, problems = {}, []
    for run in runs:
        machine, mode = run.split("/")[-2:]
        of_run = tables.setdefault(machine, {}).setdefault(mode, {})
        for row in read_rows(run):
            op = row.get("op") if isinstance(row, dict) else None
            try:
                problem = problem_of(row, machine, mode)
            except (KeyError, TypeError) as e:
                problem = f"no {e}"
            if op in of_run:
                problem = problem or "measured twice"
            if problem:
                problems.append(f"{machine} {mode} {op}: {problem}")
            of_run[op] = row
        problems += [f"{machine} {mode} {op}: not measured"
                     for op in OPS if op not in of_run]
    if problems:
        sys.exit("".join(f"report: missing figure: {p}\n" for p in problems).rstrip())
    return tables


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def cells(table, op):
    """The cells of one line of the table."""
    first = next(iter(table.values()))[op]
    line = [op, first["unit"]]
    for of_run in table.values():
        row = of_run[op]
        line.append(number(row["insns"]))
        if row is not first:
            line.append(f"x{row['insns'] / first['insns']:.2f}")
            line.append(f"{row['exits']:.2f}")
            line.append(f"{row['pf_exits']:.2f}")
    return line


def print_table(machine, table):
    modes = list(table)
    head = ["operation", "per"]
    for mode in modes:
        head.append(mode)
        if mode != modes[0]:
            head += ["ratio", "exits", "PF exits"]
    lines = [head] + [cells(table, op) for op in OPS]
    width = [max(len(line[i]) for line in lines) for i in range(len(head))]
    print(f"Instructions, and VM exits, per operation; machine {machine}, "
          f"ratios to {modes[0]}:\n")
    for line in lines:
        print("  ".join(cell.ljust(w) if i < 2 else cell.rjust(w)
                        for i, (cell, w) in enumerate(zip(line, width))).rstrip())


def main():
    parser = argparse.ArgumentParser(usage=__doc__.splitlines()[0][7:])
    parser.add_argument("--json")
    parser.add_argument("runs", nargs="+")
    args = parser.parse_args()
    tables = collect([os.path.abspath(run) for run in args.runs])
    for i, (machine, table) in enumerate(tables.items()):
        if i:
            print()
        print_table(machine, table)
    if args.json:
        rows = [json.dumps(of_run[op]) for table in tables.values()
                for of_run in table.values() for op in OPS]
        with open(args.json + ".tmp", "w") as f:
            f.write("[\n" + ",\n".join(rows) + "\n]\n")
        os.replace(args.json + ".tmp", args.json)


main()
