#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs the golden transcripts against ipvsadm on fake_libipvs.c.

    run_golden.py FAKE_IPVSADM [--update] [--wrap "valgrind ..."] [NAME...]

Needs no privileges and no kernel module. --update writes what was printed into
the transcripts: read the diff.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import transcript  # pylint: disable=wrong-import-position

MODULE = {"missing": "0", "loadable": "1"}


class Fake:
    """An ipvsadm whose tables are a file."""

    def __init__(self, program, wrap, state):
        self.program = wrap.split() + [str(pathlib.Path(program).absolute())]
        self.directory = state.parent
        # upstream leaves what it allocates to exit()
        self.env = dict(os.environ, FAKE_STATE=str(state), LC_ALL="C",
                        ASAN_OPTIONS="detect_leaks=0")

    def run(self, step):
        """Returns the lines that a step prints, and its exit status."""
        command, *args = step.words
        if command == "local":
            self.env["FAKE_LOCAL"] = " ".join(args)
            return [], 0
        if command == "module":
            self.env["FAKE_MODULE"] = MODULE[args[0]]
            return [], 0
        if command == "conns":
            self.env["FAKE_CONNS"] = "1"
            return [], 0
        if command == "file":
            transcript.make_file(self.directory, *args)
            return [], 0
        if command == "method":
            self.env["FAKE_NO_METHOD"] = "1"
            return [], 0
        if command != "ipvsadm":
            raise ValueError(f"unknown command: {step.line}")
        done = subprocess.run(
            self.program + args, input="".join(s + "\n" for s in step.stdin),
            capture_output=True, text=True, env=self.env, check=False, cwd=self.directory)
        self.env.pop("FAKE_MODULE", None)
        self.env.pop("FAKE_CONNS", None)
        err = done.stderr.replace(self.program[-1], "ipvsadm")
        out = done.stdout.replace(self.program[-1], "ipvsadm")
        return (err + out).splitlines(), done.returncode


def run_file(path, program, wrap, update):
    """Runs a transcript; returns the differences."""
    _, steps = transcript.parse(path)
    bad, text = [], []
    with tempfile.TemporaryDirectory() as tmp:
        fake = Fake(program, wrap, pathlib.Path(tmp) / "state")
        for step in steps:
            output, status = fake.run(step)
            if transcript.matches(step, output, status):
                text.append(step.text(step.output, step.status))
            else:
                bad.append(transcript.difference(step, output, status))
                text.append(step.text(output, status))
    if update:
        path.write_text("".join(text))
    return bad


def main():
    """Runs the transcripts that are asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--wrap", default="")
    parser.add_argument("names", nargs="*", default=["*"])
    args = parser.parse_intermixed_args()

    failed = 0
    for pattern in args.names:
        for path in transcript.transcripts(pattern):
            bad = run_file(path, args.program, args.wrap, args.update)
            failed += bool(bad)
            print("not ok" if bad else "ok", path.stem)
            for text in bad:
                print(text)
    sys.exit(1 if failed and not args.update else 0)


if __name__ == "__main__":
    main()
