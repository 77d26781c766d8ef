#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: report.py [--json OUT] --machine NAME RUN...

Reads the rows of each run, RUN/rows.json, where the last part of RUN is the
mode; prints the table; writes all rows as one JSON array to OUT. A figure that
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


def collect(machine, runs):
    """{(mode, op): row}; exits when any is missing or wrong."""
    table, problems = {}, []
    for run in runs:
        mode = os.path.basename(run)
        for row in read_rows(run):
            op = row.get("op") if isinstance(row, dict) else None
            try:
                problem = problem_of(row, machine, mode)
            except (KeyError, TypeError) as e:
                problem = f"no {e}"
            if (mode, op) in table:
                problem = problem or "measured twice"
            if problem:
                problems.append(f"{machine} {mode} {op}: {problem}")
            table[mode, op] = row
        problems += [f"{machine} {mode} {op}: not measured"
                     for op in OPS if (mode, op) not in table]
    if problems:
        sys.exit("".join(f"report: missing figure: {p}\n" for p in problems).rstrip())
    return table


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def cells(table, modes, op):
    """The cells of one line of the table."""
    first = table[modes[0], op]
    line = [op, first["unit"]]
    for mode in modes:
        row = table[mode, op]
        line.append(number(row["insns"]))
        if mode != modes[0]:
            line.append(f"x{row['insns'] / first['insns']:.2f}")
            line.append(f"{row['exits']:.2f}")
            line.append(f"{row['pf_exits']:.2f}")
    return line


def print_table(table, machine, modes):
    head = ["operation", "per"]
    for mode in modes:
        head.append(mode)
        if mode != modes[0]:
            head += ["ratio", "exits", "PF exits"]
    lines = [head] + [cells(table, modes, op) for op in OPS]
    width = [max(len(line[i]) for line in lines) for i in range(len(head))]
    print(f"Instructions, and VM exits, per operation; machine {machine}, "
          f"ratios to {modes[0]}:\n")
    for line in lines:
        print("  ".join(cell.ljust(w) if i < 2 else cell.rjust(w)
                        for i, (cell, w) in enumerate(zip(line, width))).rstrip())


def main():
    parser = argparse.ArgumentParser(usage=__doc__.splitlines()[0][7:])
    parser.add_argument("--json")
    parser.add_argument("--machine", required=True)
    parser.add_argument("runs", nargs="+")
    args = parser.parse_args()
    runs = [run.rstrip("/") for run in args.runs]
    modes = [os.path.basename(run) for run in runs]
    table = collect(args.machine, runs)
    print_table(table, args.machine, modes)
    if args.json:
        rows = [json.dumps(table[mode, op]) for mode in modes for op in OPS]
        with open(args.json + ".tmp", "w") as f:
            f.write("[\n" + ",\n".join(rows) + "\n]\n")
        os.replace(args.json + ".tmp", args.json)


main()
