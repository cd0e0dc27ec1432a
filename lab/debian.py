# SPDX-License-Identifier: GPL-2.0
"""Machines that get our Debian packages by their own apt, and the packages.

The compiler takes an hour in a machine without KVM. So DKMS builds the same in a chroot of the same
root before (guest/packages-compile), with ccache, which Debian's kernel headers know. In the machine
DKMS builds again, and ccache answers with what the compiler has said; all else happens there."""
import glob
import os
import shutil
import subprocess

import vm

DISK_SIZE = 6 << 30
CCACHE = os.path.join(vm.BUILD, 'ccache')
# The guest's initramfs is the lab's. Nobody is there to say yes
ENV = {'DEBIAN_FRONTEND': 'noninteractive', 'LC_ALL': 'C.UTF-8', 'INITRD': 'No',
       'DEBIAN_KERNEL_USE_CCACHE': '1', 'CCACHE_DIR': '/var/cache/ccache',
       'CCACHE_SLOPPINESS': 'locale'}
APT_CONF = 'APT::Get::Assume-Yes "true";\nAPT::Install-Recommends "false";\nDpkg::Use-Pty "0";\nquiet "1";\n'


def version():
    """Of the tree."""
    with open(os.path.join(vm.TOP, 'packaging/VERSION'), encoding='ascii') as file:
        return file.read().strip()


def meta_packages(release):
    """What follows a line's kernels, as docs/packages.md has it: image and headers."""
    line = '-6.12' if release.startswith('6.12.') else ''
    return [f'linux-image{line}-amd64', f'linux-headers{line}-amd64']


class Packages:
    """What a run's machines can install: below the run's directory, deb-VERSION and kernel."""

    def __init__(self, run, kernel):
        self.run = run
        self.directory = run.directory
        os.makedirs(os.path.join(self.directory, 'kernel'))
        for deb in vm.script('kernel', 'debs', kernel.release).split():
            os.link(deb, os.path.join(self.directory, 'kernel', os.path.basename(deb)))

    def build(self, *versions):
        """Our packages, from the tree as it is."""
        for name in versions:
            subprocess.run([os.path.join(vm.TOP, 'packaging/build'), name,
                            f'{self.directory}/deb-{name}'], check=True, stderr=subprocess.DEVNULL)

    def compile(self, *pairs):
        """Let ccache know what the compiler says: pairs of version and kernel."""
        os.makedirs(CCACHE, exist_ok=True)
        with open(f'{self.directory}/compile.log', 'w', encoding='utf-8') as log:
            done = subprocess.run(
                [os.path.join(vm.LAB, 'in-root'), self.run.root, f'{self.directory}:/srv/run',
                 f'{vm.LAB}/guest:/srv/guest', f'{CCACHE}:/var/cache/ccache', '--',
                 '/srv/guest/packages-compile', *(':'.join(pair) for pair in pairs)],
                stdout=log, stderr=log, check=False)
        if done.returncode:
            raise vm.LabError(f'DKMS does not build in a chroot: {log.name}')


class Debian:
    """A machine with systemd and a disk, whose apt has a repository below /lab."""

    def __init__(self, run, packages, name, *, twin=None, **options):
        """twin: a machine that is off, whose disk this one's is a copy of."""
        self.packages = packages
        disk = os.path.join(run.directory, f'{name}.disk')
        if twin:
            subprocess.run(['cp', '--sparse=always', twin.machine.disk, disk], check=True)
        else:
            with open(disk, 'wb') as file:
                file.truncate(DISK_SIZE)
            subprocess.run(['/sbin/mkfs.ext4', '-q', '-O', '^has_journal', disk], check=True)
        self.machine = run.vm(name, systemd=True, disk=disk, **options)
        self.repository = os.path.join(self.machine.directory, 'repo')
        os.makedirs(self.repository)

    def publish(self, directory):
        """Put what is in a directory of the run into the repository."""
        for deb in glob.glob(f'{self.packages.directory}/{directory}/*.deb'):
            os.link(deb, os.path.join(self.repository, os.path.basename(deb)))
        with open(f'{self.repository}/Packages', 'w', encoding='utf-8') as file:
            subprocess.run(['dpkg-scanpackages', '-m', '.'], cwd=self.repository, stdout=file,
                           stderr=subprocess.DEVNULL, check=True)

    def start(self):
        """Boot it for the first time."""
        shutil.copytree(CCACHE, os.path.join(self.machine.directory, 'ccache'))
        self.machine.start()

    def prepare(self):
        """Wait for it; apt knows the repository and nothing else."""
        self.machine.wait_ready(600)
        self.machine.run('rm -rf /etc/apt/sources.list.d/*; cp -r /lab/ccache /var/cache/', timeout=300)
        self.machine.write('/etc/apt/sources.list', 'deb [trusted=yes] file:/lab/repo ./\n')
        self.machine.write('/etc/apt/apt.conf.d/99lab', APT_CONF)

    def booted(self):
        """Wait until systemd has started everything; what it says, and what has failed."""
        state = self.machine.run('systemctl is-system-running --wait', timeout=600, check=False).out
        failed = self.machine.run('systemctl --failed --no-legend --plain', check=False).out
        return state.strip(), failed
