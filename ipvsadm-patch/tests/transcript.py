# SPDX-License-Identifier: GPL-2.0
"""Golden transcripts: commands with what they print.

    $ ipvsadm ARGS          a command; its output follows, standard error first
    < LINE                  a line of its standard input
    [N]                     its exit status, if it is not 0
    $ local ADDR...         these are the addresses of this host
    $ module MODE           ip_vs_fullnat is: missing, loadable
    $ file NAME MODE TEXT   there is this file, in the directory of the commands
    $ conns                 (fake) there are two connections
    # fake: WHY             (first line) only run against fake_libipvs.c
    # ...                   a comment

A line of output that ends in " (re)" is a regular expression: for sentences
that the kernel is free to word.
"""
import pathlib
import re
import shlex

GOLDEN = pathlib.Path(__file__).parent / "golden"


class Step:
    """One command and what was recorded of it."""

    def __init__(self, line):
        self.line = line
        self.words = shlex.split(line)
        self.comments = []
        self.stdin = []
        self.output = []
        self.status = 0

    def text(self, output, status):
        """The step as it stands in the file, with this outcome."""
        lines = [f"$ {self.line}"] + [f"< {line}" for line in self.stdin]
        lines += output
        if status:
            lines.append(f"[{status}]")
        return "\n".join(self.comments + lines) + "\n"


def parse(path):
    """Returns (is_fake_only, steps)."""
    steps, comments, fake_only = [], [], False
    for line in path.read_text().splitlines():
        if line.startswith("# fake:"):
            fake_only = True
        if line.startswith("#") or (not line and not steps):
            comments.append(line)
        elif line.startswith("$ "):
            step = Step(line[2:])
            step.comments, comments = comments, []
            steps.append(step)
        elif line.startswith("< ") or line == "<":
            steps[-1].stdin.append(line[2:])
        elif re.fullmatch(r"\[\d+\]", line):
            steps[-1].status = int(line[1:-1])
        else:
            steps[-1].output += comments + [line]
            comments = []
    return fake_only, steps


def line_matches(expected, line):
    """Is this line of output what the transcript has?"""
    if expected.endswith(" (re)"):
        return re.fullmatch(expected[:-5], line) is not None
    return expected == line


def matches(step, output, status):
    """Is the outcome of a command what the transcript has?"""
    return (status == step.status and len(output) == len(step.output) and
            all(map(line_matches, step.output, output)))


def difference(step, output, status):
    """Expected and seen, for the report of a failure."""
    seen = output + ([f"[{status}]"] if status else [])
    expected = step.output + ([f"[{step.status}]"] if step.status else [])
    return "\n".join([f"    $ {step.line}"] +
                     [f"  - {line}" for line in expected] +
                     [f"  + {line}" for line in seen])


def make_file(directory, name, mode, text):
    """What `$ file` says."""
    path = pathlib.Path(directory, name)
    path.write_text(text)
    path.chmod(int(mode, 8))


def transcripts(pattern="*"):
    """All transcripts, in order."""
    return sorted(GOLDEN.glob(pattern + ".t"))
