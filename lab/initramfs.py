# SPDX-License-Identifier: GPL-2.0
"""The initramfs of the guests: busybox, our init, and the kernel modules that
it takes to mount the root from the host. A cpio archive, written here because
cpio(1) would need the files in a tree first."""
import gzip
import lzma
import os
import shutil

LAB = os.path.dirname(os.path.abspath(__file__))
WANTED = ('virtio_pci', '9p', '9pnet_virtio', 'overlay', 'virtio_console', 'virtio_net')
# for machines that have a disk
DISK_WANTED = ('virtio_blk', 'crc32c_generic', 'ext4')


def entry(name, mode, data=b'', rdev=(0, 0)):
    """One member of a cpio archive in the "newc" format."""
    encoded = name.encode() + b'\0'
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, rdev[0], rdev[1], len(encoded), 0)
    head = b'070701' + b''.join(b'%08x' % field for field in fields) + encoded
    return head + b'\0' * (-len(head) % 4) + data + b'\0' * (-len(data) % 4)


def module_files(tree, wanted):
    """Paths below `tree` of the modules to load for `wanted`, in the order to load them."""
    depends = {}
    with open(os.path.join(tree, 'modules.dep'), encoding='ascii') as file:
        for line in file:
            path, _, needs = line.partition(':')
            depends[path] = needs.split()
    names = {os.path.basename(path).split('.ko')[0].replace('-', '_'): path
             for path in depends}
    ordered = []
    for name in wanted:
        path = names.get(name)      # absent: built into the kernel
        if path:
            # modules.dep lists the innermost dependency last
            for needed in [*reversed(depends[path]), path]:
                if needed not in ordered:
                    ordered.append(needed)
    return ordered


def module_name(path):
    """What a module's file is called in the initramfs."""
    return os.path.basename(path).removesuffix('.xz')


def read_module(path):
    """A module's contents, without the compression that 6.12 uses."""
    opener = lzma.open if path.endswith('.xz') else open
    with opener(path, 'rb') as file:
        return file.read()


def busybox():
    """The path of the static busybox."""
    path = shutil.which('busybox', path='/bin:/usr/bin:' + os.environ.get('PATH', ''))
    if not path:
        raise SystemExit('lab: busybox-static is missing (lab/host-deps installs it)')
    return path


def make(image_tree, target):
    """Write the initramfs for the modules in `image_tree` to `target`."""
    def contents(path):
        with open(path, 'rb') as file:
            return file.read()

    parts = [entry(name, 0o40755) for name in
             ('bin', 'dev', 'proc', 'modules', 'rw', 'lower', 'image', 'share', 'new')]
    parts.append(entry('dev/console', 0o20600, rdev=(5, 1)))
    parts.append(entry('bin/busybox', 0o100755, contents(busybox())))
    parts.append(entry('init', 0o100755,
                       contents(os.path.join(LAB, 'guest', 'initramfs-init'))))
    base = module_files(image_tree, WANTED)
    disk = [path for path in module_files(image_tree, DISK_WANTED) if path not in base]
    for path in base + disk:
        parts.append(entry(f'modules/{module_name(path)}', 0o100644,
                           read_module(os.path.join(image_tree, path))))
    for name, paths in (('list', base), ('disk-list', disk)):
        lines = ''.join(f'{module_name(path)}\n' for path in paths)
        parts.append(entry(f'modules/{name}', 0o100644, lines.encode()))
    parts.append(entry('TRAILER!!!', 0))
    temporary = f'{target}.{os.getpid()}'
    with open(temporary, 'wb') as file:
        file.write(gzip.compress(b''.join(parts), 1))
    os.replace(temporary, target)
