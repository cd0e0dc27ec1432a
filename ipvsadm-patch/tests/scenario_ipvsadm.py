#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""ipvsadm against the real modules; runs as root in a machine of its own.

The golden transcripts, each in a network namespace of its own and starting
without the module, so that it is autoloaded every time; and what they cannot
say. Environment: IPVSADM (default: ipvsadm), STOCK (the distribution's own,
default /usr/sbin/ipvsadm).
"""
import concurrent.futures
import contextlib
import ctypes
import functools
import itertools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
import transcript  # pylint: disable=wrong-import-position

OURS = os.environ.get("IPVSADM", "ipvsadm")
STOCK = os.environ.get("STOCK", "/usr/sbin/ipvsadm")
OUR_VERSION = re.compile(r"^(ipvsadm v[0-9.]+)\+fullnat[0-9.]+(?= )", re.M)
MODULE = "ip_vs_fullnat"
MODPROBE = pathlib.Path("/proc/sys/kernel/modprobe")

NAMES = (f"ipvsadm{n}" for n in itertools.count())


class Failed(Exception):
    """A check that did not hold."""


def run(*argv, stdin=""):
    """Runs a command; returns it with its output."""
    return subprocess.run(argv, input=stdin, capture_output=True, text=True,
                          check=False, env=dict(os.environ, LC_ALL="C"))


def must(*argv):
    """Runs a command that has to succeed."""
    done = run(*argv)
    if done.returncode:
        raise Failed(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


def loaded():
    """Is our module in the kernel?"""
    return pathlib.Path("/sys/module", MODULE).exists()


def unload():
    """Take our module out, if it is in. The last namespace may still be on its way out, with
    services whose scheduler needs it."""
    end = time.monotonic() + 60
    while loaded() and run("rmmod", MODULE).returncode and time.monotonic() < end:
        time.sleep(0.05)
    if loaded():
        must("rmmod", MODULE)


@contextlib.contextmanager
def missing():
    """The module cannot be loaded."""
    before = MODPROBE.read_text()
    unload()
    MODPROBE.write_text("/bin/false\n")
    try:
        yield
    finally:
        MODPROBE.write_text(before)


LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


@contextlib.contextmanager
def inside(path):
    """What is started now, is started in another network namespace."""
    with open("/proc/self/ns/net", "rb") as back, open(path, "rb") as there:
        if LIBC.setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            LIBC.setns(back.fileno(), CLONE_NEWNET)


class Netns:
    """A network namespace with its own ipvs."""

    def __init__(self, program=OURS):
        self.name = next(NAMES)
        self.program = shutil.which(program) or program

    def __enter__(self):
        must("ip", "netns", "add", self.name)
        must("ip", "-n", self.name, "link", "set", "lo", "up")
        return self

    def __exit__(self, *_):
        must("ip", "netns", "del", self.name)

    def inside(self):
        """See the function of this name."""
        return inside(f"/run/netns/{self.name}")

    def local(self, *addrs):
        """These are the addresses of the host, besides 127.0.0.1."""
        must("ip", "-n", self.name, "addr", "flush", "dev", "lo")
        for addr in addrs:
            must("ip", "-n", self.name, "addr", "add", addr, "dev", "lo")

    def ipvsadm(self, *args, stdin=""):
        """Returns the lines, standard error first, and the exit status."""
        with self.inside():
            done = run(self.program, *args, stdin=stdin)
        text = (done.stderr + done.stdout).replace(self.program, "ipvsadm")
        # the one word of its output that is not as it was: whose version it is
        text = OUR_VERSION.sub(r"\1", text)
        return text.splitlines(), done.returncode

    def ok(self, *args, stdin=""):
        """A command that succeeds; returns its lines."""
        output, status = self.ipvsadm(*args, stdin=stdin)
        if status:
            raise Failed(f"ipvsadm {' '.join(args)}: [{status}] {output}")
        return output


def equal(got, wanted, what):
    """They are the same."""
    if got != wanted:
        raise Failed(f"{what}: {got!r}, not {wanted!r}")


def play(path):
    """A transcript against the real thing."""
    _, steps = transcript.parse(path)
    bad = []
    unload()
    with contextlib.ExitStack() as stack:
        # what made the module missing ends before the namespace does
        netns = stack.enter_context(Netns())
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        stack.callback(os.chdir, os.getcwd())
        os.chdir(directory)
        for step in steps:
            command, *args = step.words
            if command == "file":
                transcript.make_file(directory, *args)
                continue
            if command == "local":
                netns.local(*args)
                continue
            if command == "module":
                equal(args, ["missing"], "module")
                stack.enter_context(missing())
                continue
            stdin = "".join(line + "\n" for line in step.stdin)
            output, status = netns.ipvsadm(*args, stdin=stdin)
            if not transcript.matches(step, output, status):
                bad.append(transcript.difference(step, output, status))
    if bad:
        raise Failed("differs from the transcript\n" + "\n".join(bad))


STOCK_RULES = """\
-A -t 10.9.0.1:80 -s rr
-a -t 10.9.0.1:80 -r 10.9.2.1:80 -m -w 3 -x 10 -y 5
-a -t 10.9.0.1:80 -r 10.9.2.2:8080 -m
-a -t 10.9.0.1:80 -r 10.9.2.3 -g
-A -t 10.9.0.1:443 -p 120 -M 255.255.255.0
-a -t 10.9.0.1:443 -r 10.9.2.1:443 -i -x 20 -y 10
-a -t 10.9.0.1:443 -r 10.9.2.2:443 -i --tun-type gue --tun-port 6080 --tun-nocsum
-A -u 10.9.0.1:53 -o
-a -u 10.9.0.1:53 -r 10.9.2.1:53 -m
-A -t 10.9.0.2:80 -s sh -b sh-fallback,sh-port
-A -f 9 -s wlc
-a -f 9 -r 10.9.2.1:0 -m
-A -t [2001:db8::1]:80
-a -t [2001:db8::1]:80 -r [2001:db8::2]:80 -g
-e -t 10.9.0.1:80 -r 10.9.2.1:80 -w 9
-E -t 10.9.0.1:80 -s wrr
"""

# with their exit status and every byte they print
STOCK_COMMANDS = [
    "-L -n", "-ln --stats", "-Ln --rate", "-Ln --thresholds", "-Ln --tun-info",
    "-Ln --persistent-conn", "-Ln --exact --stats", "-Ln --nosort", "-Lcn",
    "-Ln -t 10.9.0.1:80", "-Ln -f 9", "-L --timeout", "-L --daemon", "-S -n",
    "-Ln -t 10.9.0.9:80", "-A -t 10.9.0.1:80", "-A -t 10.9.0.1:80 -s nosuch",
    "-A -t 10.9.0.3:80 -s nosuch", "-E -t 10.9.0.3:80", "-D -t 10.9.0.3:80",
    "-a -t 10.9.0.3:80 -r 10.9.2.1:80", "-a -t 10.9.0.1:80 -r 10.9.2.1:80 -m",
    "-a -t 10.9.0.1:80 -r 10.9.2.1:80 -g -m", "-e -t 10.9.0.1:80 -r 10.9.2.9:80",
    "-d -t 10.9.0.1:80 -r 10.9.2.9:80", "-a -t 10.9.0.1:80 -r [2001:db8::2]:80 -m",
    "-a -t 10.9.0.1:80 -r 10.9.2.1:80 -m --tun-type gue",
    "-A -t 10.9.0.1", "-A -t 10.9.0.1:81 -o", "-A", "-A -t x",
    "-A -t 10.9.0.1:82 -s sh -b junk", "-Z", "-Z -t 10.9.0.1:80", "-Z -t 10.9.0.9:80",
    "--set 1 2 3", "--set 1", "-L --timeout", "-d -t 10.9.0.1:80 -r 10.9.2.3",
    "-D -t 10.9.0.1:80", "-D -t 10.9.0.1:80", "-D -u 10.9.0.1:53", "-D -u 10.9.0.1:53",
    "-D -t [2001:db8::1]:80", "-D -f 9", "-D --sctp-service 10.9.0.1:80", "-Ln", "-C", "-Ln", "-C", "-v", "-x",
    "-C -t 10.9.0.1:80", "--start-daemon junk",
]


def outputs(program):
    """What a program says to all of the above."""
    said = []
    with Netns(program) as netns:
        said.append(("-R", netns.ipvsadm("-R", stdin=STOCK_RULES)))
        for line in STOCK_COMMANDS:
            said.append((line, netns.ipvsadm(*line.split())))
            if "--nosort" in line:
                # the order of the kernel's hash, which differs between namespaces
                said[-1][1][0].sort()
        said.append(("", netns.ipvsadm()))
    return said


@functools.lru_cache(maxsize=1)
def stock_outputs():
    """What the distribution's own says."""
    return outputs(STOCK)


def mended(line, theirs):
    """What the distribution's own would say without the bug of it that is mended in ours: -S
    forgets the thresholds of real servers."""
    if line != "-S -n":
        return theirs
    return [one + " -x 20 -y 10" if "-r 10.9.2.1:443 -i " in one else one for one in theirs]


def compare_with_stock():
    """Both say the same."""
    for theirs, ours in zip(stock_outputs(), outputs(OURS)):
        output, status = theirs[1]
        equal(ours[1], (mended(theirs[0], output), status), f"ipvsadm {theirs[0]}")


def test_stock_commands_without_module():
    """The original commands are what they were, and load nothing."""
    unload()
    compare_with_stock()
    equal(loaded(), False, "the module was loaded")


def test_stock_commands_with_module():
    """They are also when the module is there."""
    must("modprobe", MODULE)
    compare_with_stock()


def test_stock_commands_beside_declarations():
    """And when another service is declared."""
    said = []
    for program in (STOCK, OURS):
        with Netns(program) as netns:
            netns.ok("-A", "-t", "10.9.9.9:80", "-s", "rr")
            if program == OURS:
                netns.ipvsadm("-E", "-t", "10.9.9.9:80", "--fullnat")
            netns.ok("-R", stdin=STOCK_RULES)
            said.append([netns.ipvsadm(*line.split()) for line in
                         ("-Ln", "-Ln --stats", "-Ln --tun-info", "-Lcn")])
    equal(said[1], said[0], "lists")


ALL_RULES = """\
-P -z 10.9.1.32-10.9.1.35
-P -z 10.9.1.64:20000-29999
-P -z [fd00::ffff-fd00::1:0]:20000-29999
-E --vips 10.9.6.0/24 --fullnat --toa 254
-P --vips 10.9.6.0/24 -z 10.9.1.3
-E --vips 2001:db8:6::/48 --fullnat --conn-timeout 60
-A -t 10.9.0.1:80 -s rr --fullnat
-P -t 10.9.0.1:80 -z 10.9.1.1
-P -t 10.9.0.1:80 -z 10.9.1.16-10.9.1.31:30000-39999
-a -t 10.9.0.1:80 -r 10.9.2.1:8080 -b -w 1
-a -t 10.9.0.1:80 -r 10.9.2.2:8080 -m -w 0
-a -t 10.9.0.1:80 -r 10.9.2.3:80 -g -w 1 -x 1000 -y 900
-A -t 10.9.0.2:0 -s wlc -p 300 -M 255.255.255.0 --fullnat --toa 254 --timestamps strip
-A -t 10.9.0.3:80 -s sh -b sh-port --fullnat --toa off --timestamps pass
-A -t 10.9.0.4:80 -s wlc
-a -t 10.9.0.4:80 -r 10.9.2.1:80 -m -w 1
-A -t 10.9.0.6:80 -s fullnat
-P -t 10.9.0.6:80 -z 10.9.1.1
-a -t 10.9.0.6:80 -r 10.9.2.1:80 -m -w 1
-A -t 10.9.0.7:80 -s rr
-a -t 10.9.0.7:80 -r 10.9.2.1:80 -i -w 1 --tun-type ipip -x 2147483647
-a -t 10.9.0.7:80 -r 10.9.2.2:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum -x 7 -y 6
-a -t 10.9.0.7:80 -r 10.9.2.3:80 -i -w 1 --tun-type gre --tun-csum -x 7
-A -u 10.9.0.1:53 -s rr --fullnat --conn-timeout 30
-P -u 10.9.0.1:53 -z 10.9.1.1
-a -u 10.9.0.1:53 -r 10.9.2.1:53 -b -w 1
-A -t [2001:db8::1]:80 -s rr --fullnat --toa 254 --timestamps pass --conn-timeout 2678400
-P -t [2001:db8::1]:80 -z fd00::1
-P -t [2001:db8::1]:80 -z [fd00::ffff:ffff-fd00::1:0:1]:30000-39999
-a -t [2001:db8::1]:80 -r [2001:db8:2::1]:8080 -b -w 1
-a -t [2001:db8::1]:80 -r [2001:db8:2::2]:80 -m -w 1
-A -u [2001:db8::1]:53 -s rr -p 300 -M 64 --fullnat
-A -f 5 -s wlc --fullnat
-P -f 5 -z 10.9.1.1
-A -f 5 -6 -s wlc --fullnat --toa off
-P -f 5 -6 -z fd00::1
-A -f 2147483648 -s rr --fullnat
-P -f 2147483648 -z 10.9.1.1
-a -f 2147483648 -r 10.9.2.1:0 -m -w 1
-A -f 4294967295 -6 -s rr --fullnat
-P -f 4294967295 -6 -z fd00::1
-E -t 10.9.0.5:80 --fullnat --toa 254
-P -t 10.9.0.5:80 -z 10.9.1.2
-E -u [2001:db8::5]:53 --fullnat --conn-timeout 7
-P -u [2001:db8::5]:53 -z fd00::1
"""


def test_save_restore():
    """What is saved restores the same, byte by byte."""
    with Netns() as netns:
        netns.ipvsadm("-R", stdin=ALL_RULES)
        saved = netns.ok("-S", "-n")
        equal(saved, ALL_RULES.splitlines(), "saved")
        netns.ok("-C")
        equal(netns.ok("-S", "-n"), [], "after -C")
        netns.ipvsadm("-R", stdin="\n".join(saved) + "\n")
        equal(netns.ok("-S", "-n"), saved, "saved again")


def test_restore_twice():
    """The same rules may be loaded twice, stock ones too."""
    rules = ALL_RULES
    with Netns() as netns:
        netns.local(*(f"10.9.1.{n}" for n in (1, 2, 64)),
                    *(f"10.9.1.{n}" for n in range(16, 36)))
        wanted = ["Note: 10 of 37 local addresses are not addresses of this host now; "
                  "they will be used when they are",
                  "Note: IPVS does not have the service -t 10.9.0.5:80 now",
                  "Note: IPVS does not have the service -u [2001:db8::5]:53 now"]
        equal(sorted(netns.ok("-R", stdin=rules)), wanted, "first")
        saved = netns.ok("-S", "-n")
        equal(sorted(netns.ok("-R", stdin=rules)), wanted, "second")
        equal(netns.ok("-S", "-n"), saved, "saved after the second")


def rules_of(number):
    """One of two sets of rules about the same service."""
    return "".join(f"{line}\n" for line in (
        "-D -t 10.9.0.1:80", f"-A -t 10.9.0.1:80 -s {('rr', 'wlc')[number]} --fullnat",
        f"-P -t 10.9.0.1:80 -z 10.9.1.{number + 1}0-10.9.1.{number + 1}9",
        *(f"-a -t 10.9.0.1:80 -r 10.9.2.{number}{server}:80 -b -w 1" for server in range(5))))


def test_two_restores_at_once():
    """The second one waits for the first: what is there at last is of one of them."""
    with Netns() as netns, concurrent.futures.ThreadPoolExecutor(2) as pool:
        netns.ok("-A", "-t", "10.9.0.1:80", "-s", "rr")
        wanted = []
        for number in (0, 1):
            netns.ok("-R", stdin=rules_of(number))
            wanted.append(netns.ok("-S", "-n"))
        for _ in range(10):
            # in threads of one process: started in the namespace by its name
            done = list(pool.map(lambda number: run(
                "ip", "netns", "exec", netns.name, netns.program, "-R", stdin=rules_of(number)),
                (0, 1)))
            equal([one.returncode for one in done], [0, 0], f"exit status ({done})")
            if netns.ok("-S", "-n") not in wanted:
                raise Failed(f"a mixture: {netns.ok('-S', '-n')}")


def test_failed_restore_beside_others():
    """What another program adds meanwhile is not taken back with the rules."""
    rules = "".join(f"-A -t 10.9.0.1:{port} -s rr --fullnat\n" for port in range(1, 200))
    with Netns() as netns, concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(run, "ip", "netns", "exec", netns.name, netns.program, "-R",
                             stdin=rules + "-D -t 10.9.9.9:80\n")
        added = 0
        while not future.done():
            done = run("ip", "netns", "exec", netns.name, STOCK, "-A", "-t",
                       f"10.9.5.1:{added + 1}", "-s", "rr")
            equal(done.returncode, 0, f"adding: {done.stderr}")
            added += 1
        equal(future.result().returncode, 255, "exit status of the restore")
        saved = netns.ok("-S", "-n")
        equal(len(saved), added, "services that are left")
        equal([line for line in saved if "10.9.0.1" in line], [], "of the rules")


def begun(netns, rules):
    """`ipvsadm -R` of these rules, which is at work: the first one, of 10.9.0.1:1, is applied."""
    restore = subprocess.Popen(["ip", "netns", "exec", netns.name, netns.program, "-R"],
                               stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    restore.stdin.write(rules)
    restore.stdin.close()
    # a table that changes all the time may be refused: then it is looked at again
    while restore.poll() is None and \
            not any("10.9.0.1:1 " in line + " " for line in netns.ipvsadm("-S", "-n")[0]):
        time.sleep(0.001)
    return restore


DECLARATIONS = "".join(f"-E -t 10.9.0.1:{port} --fullnat --toa off\n" for port in range(1, 3000))


def test_refused_declarations_beside_checks():
    """Rules that only declare, of which the last is refused: a real server that a health check
    has taken out meanwhile stays out, and the timeouts are left alone."""
    with Netns() as netns:
        netns.ok("-P", "-z", "10.9.1.1")
        netns.ok("-A", "-t", "10.9.0.1:80", "-s", "rr", "--fullnat")
        netns.ok("-a", "-t", "10.9.0.1:80", "-r", "10.9.2.1:80", "-m")
        restore = begun(netns, DECLARATIONS + "-P -z 10.9.1.1:2000-2999\n")
        netns.ok("-d", "-t", "10.9.0.1:80", "-r", "10.9.2.1:80")
        netns.ok("--set", "111", "22", "33")
        if restore.poll() is not None:
            raise Failed("the restore was too quick for this test")
        equal(restore.wait(), 255, f"exit status ({restore.stderr.read()})")
        equal([line for line in netns.ok("-S", "-n") if "10.9.0.1" in line],
              ["-A -t 10.9.0.1:80 -s rr --fullnat"], "the service")
        equal(netns.ok("-L", "--timeout"), ["Timeout (tcp tcpfin udp): 111 22 33"], "timeouts")


def test_ended_restore():
    """Who ends it in the middle gets all of it, not half."""
    with Netns() as netns:
        restore = begun(netns, DECLARATIONS)
        if restore.poll() is not None:
            raise Failed("the restore was too quick for this test")
        restore.terminate()
        restore.stderr.close()
        equal(restore.wait(), 0, "exit status")
        equal(len(netns.ok("-S", "-n")), 2999, "declarations")


def service_line(netns):
    """The only service, as the kernel tells of it."""
    with netns.inside():
        text = pathlib.Path("/proc/net/ip_vs_fullnat").read_text(encoding="ascii")
    return re.search("^service (.*)$", text, re.M)[1]


def test_refused_for_service_by_scheduler():
    """A service that is FULLNAT by its scheduler alone stays what it is when something about
    it is refused: not declared, with the default options and its addresses."""
    with Netns() as netns:
        netns.ok("-A", "-t", "10.9.0.1:80", "-s", "fullnat")
        netns.ipvsadm("-P", "-z", "10.9.1.1")
        before = service_line(netns)
        if "origin scheduler" not in before:
            raise Failed(f"it is not FULLNAT by its scheduler alone: {before}")
        output, status = netns.ipvsadm("-E", "-t", "10.9.0.1:80", "-s", "nosuch", "--fullnat",
                                       "--toa", "off")
        equal((service_line(netns), bool(status)), (before, True), f"-E ({output})")
        output, status = netns.ipvsadm("-R", stdin="-E -t 10.9.0.1:80 --fullnat --toa off\n"
                                                   "-P -t 10.9.0.1:80 -z 10.9.1.2\n"
                                                   "-P -z 10.9.1.1:2000-3000\n")
        equal((service_line(netns), status), (before, 255), f"-R ({output})")


def test_rule_that_asks_for_help():
    """It is refused like others."""
    with Netns() as netns:
        for option in ("-h", "-v"):
            output, status = netns.ipvsadm("-R", stdin=f"-P -z 10.9.1.1\n{option}\n")
            equal((output, status), ([f"The '{option[1]}' option is no rule",
                                      "ipvsadm: line 2 of the rules is refused, and so nothing of "
                                      f"them is applied: {option}"], 2), option)
        equal(netns.ok("-S"), [], "what was applied")


def test_large_pool():
    """A list that takes many messages; the largest range."""
    with Netns() as netns:
        netns.local("10.9.1.1")
        equal(netns.ok("-P", "-z", "10.64.0.0/16"),
              ["Note: 65536 of 65536 local addresses are not addresses of "
               "this host now; they will be used when they are"], "-P")
        lines = netns.ok("-G")
        equal(lines[1].split(), ["default", "65536"], "total")
        equal([line.split()[0] for line in lines[2:]],
              [f"10.64.{i}.{j}" for i in range(256) for j in range(256)], "list")
        equal(netns.ok("-S"), ["-P -z 10.64.0.0-10.64.255.255"], "-S")
        equal(netns.ok("-Q", "-z", "10.64.0.0/16"), [], "-Q")
        equal(netns.ok("-S"), [], "after -Q")


def test_changing_tables():
    """A list while another tool changes the table is whole, or says why not."""
    with Netns() as netns:
        netns.ipvsadm("-P", "-z", "10.64.0.0/20")
        with netns.inside():
            changer = subprocess.Popen(
                ["sh", "-c", f"while :; do {netns.program} -E -t 10.9.0.1:80 --fullnat; "
                 f"{netns.program} -D -t 10.9.0.1:80; done"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True)
        try:
            for _ in range(10):
                output, status = netns.ipvsadm("-G")
                if status:
                    equal(output, ["The FULLNAT tables change too often to be read"],
                          "refusal")
                else:
                    equal(sum("10.64." in line for line in output), 4096, "addresses")
        finally:
            os.killpg(changer.pid, 15)
            changer.wait()


def test_refused_by_kernel():
    """What only the kernel knows is said in its words."""
    with Netns() as netns:
        for args in ("-P -z 127.0.0.1", "-P -z 224.0.0.1", "-P -z 0.0.0.0", "-P -z ::",
                     "-P -z ::1", "-P -z ff02::1", "-P -z fe80::1", "-P -z ::ffff:10.9.1.1",
                     "-P -z ::10.9.1.1", "-P -z fe7f:ffff:ffff:ffff:ffff:ffff:ffff:fff0-fe80::1",
                     "-A -u [2001:db8::1]:53 --fullnat --timestamps pass",
                     "-A --sctp-service [2001:db8::1]:53 --fullnat",
                     "-A -t 10.9.0.1:80 --fullnat -s nosuch"):
            output, status = netns.ipvsadm(*args.split())
            if not status or len(output) != 1 or "errno" in output[0] or \
               output[0] == "Invalid argument":
                raise Failed(f"ipvsadm {args}: [{status}] {output}")
        equal(netns.ok("-S", "-n"), [], "what was applied")
        equal(netns.ok("-G")[1:], ["default              0        "], "pools")


def secret_of(netns):
    """What tells the kernel's secret apart from others."""
    with netns.inside():
        text = pathlib.Path("/proc/net/ip_vs_fullnat").read_text(encoding="ascii")
    return re.search("^secret (.*)$", text, re.M)[1]


def test_refused_restore_keeps_secret():
    """A restore that the kernel refuses leaves the secret that was in force; one that succeeds
    sets it, wherever its line stands. What cannot be put back is named."""
    with Netns() as netns, tempfile.TemporaryDirectory() as directory:
        files = []
        for name in ("one", "two"):
            files.append(pathlib.Path(directory, name))
            files[-1].write_text(f"a secret for ipvsadm: {name}", encoding="ascii")
            files[-1].chmod(0o600)
        netns.ipvsadm("-R", stdin=f"--secret-file {files[0]}\n-P -z 10.9.1.1\n")
        first = secret_of(netns)
        lines, status = netns.ipvsadm("-R", stdin=f"--secret-file {files[1]}\n-Z\n"
                                                  "--start-daemon backup --mcast-interface lo\n"
                                                  "-P -z 10.9.1.1:2000-2999\n")
        equal(status, 255, "exit status")
        equal(secret_of(netns), first, "the secret")
        equal(lines[-1], "ipvsadm: line 4 of the rules is refused, and so nothing of them is "
              "applied (but what cannot be undone: start-daemon, zero): -P -z 10.9.1.1:2000-2999",
              "what it says")
        netns.ok("--stop-daemon", "backup")
        netns.ipvsadm("-R", stdin=f"--secret-file {files[1]}\n-P -z 10.9.1.1\n")
        if secret_of(netns) in (first, "random"):
            raise Failed(f"the secret was not set: {secret_of(netns)}")


def test_unprivileged():
    """Without rights it is as ever."""
    done = run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
               shutil.which(OURS) or OURS, "-A", "-t", "10.9.0.1:80", "--fullnat")
    equal(done.returncode, 2, "exit status")
    if "Permission denied (you must be root)" not in done.stderr:
        raise Failed(done.stderr)


def verdict(name, function, *args):
    """Prints the line that the lab counts; returns whether it went well."""
    try:
        function(*args)
    except Failed as why:
        print(f"not ok {name}: {why}", flush=True)
    except Exception:  # pylint: disable=broad-except
        print(f"not ok {name}: {traceback.format_exc()}", flush=True)
    else:
        print(f"ok {name}", flush=True)
        return True
    return False


def main():
    """All of it."""
    for module in ("ip_vs", "ip_vs_rr", "ip_vs_wlc", "ip_vs_wrr", "ip_vs_sh"):
        must("modprobe", module)
    if not verdict("ipvsadm-module", must, "modprobe", MODULE):
        sys.exit(1)
    good = True
    for path in transcript.transcripts():
        if not transcript.parse(path)[0]:
            good &= verdict(f"ipvsadm-{path.stem}", play, path)
    for name, function in sorted(globals().items()):
        if name.startswith("test_"):
            good &= verdict("ipvsadm-" + name[5:].replace("_", "-"), function)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
