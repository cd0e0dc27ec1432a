# SPDX-License-Identifier: GPL-2.0
"""What is tried in machines, step by step, and its verdicts."""
import time

import vm


class Failed(Exception):
    """Something is not as it should be."""


def check(condition, message):
    """Fail unless it is true."""
    if not condition:
        raise Failed(message)


def why_not(trial, method):
    """Call a method of the trial. Why it failed, or what a kernel of trial.run complains of, or ''."""
    why = ''
    try:
        method(trial)
    except (Failed, vm.LabError) as error:
        why = str(error)
    problems = trial.run.problems()
    return f'the kernel of {problems[0]}\n{why}'.strip() if problems else why


def run_steps(trial, suite, methods, *, go_on=False):
    """Call the methods and print their verdicts. Each builds on the one before, so that the first
    failure is the end; not if the rest is to go on. Returns the exit status."""
    passed = failed = 0
    for method in methods:
        began = time.monotonic()
        first, *rest = why_not(trial, method).splitlines() or ['']
        for line in rest:
            print('# ' + line)
        print(f'not ok {suite}/{method.__name__}: {first}' if first else
              f'ok {suite}/{method.__name__}')
        print(f'# {time.monotonic() - began:.0f} s', flush=True)
        failed += bool(first)
        passed += not first
        if failed and not go_on:
            break
    print(f'# traces: {trial.run.directory}')
    print(f'{passed} passed, {failed} failed', flush=True)
    return 1 if failed else 0
