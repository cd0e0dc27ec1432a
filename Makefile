# SPDX-License-Identifier: GPL-2.0
#
# Everything that is made goes below build/. "make help" lists the targets.

TOP     := $(CURDIR)
BUILD   ?= $(TOP)/build
KERNEL  ?= 6.1
KERNELS ?= 6.1 6.12
KDIR    ?=
DESTDIR ?=
ROLE    ?=
ONLY    ?=
LONG    ?=
RUN     ?=
COUNT   ?= 1000000
SEED    ?=
FLOWS   ?=
ROWS    ?=
WAY     ?=
LESS    ?=
COLUMN  ?=
UAPI    := $(TOP)/ipvs-fullnat/include/uapi

override BUILD := $(abspath $(BUILD))
export BUILD KDIR

# KERNEL=debug (or native, native-debug) is built here, which takes more tools than unpacking does; newest has a root of its own
DEPS_KERNEL := $(if $(filter debug native native-debug,$(KERNEL)),deps-debug) $(if $(filter newest,$(KERNEL)),deps-lab)

.DEFAULT_GOAL := all
MAKEFLAGS += --no-print-directory

all: modules tools
.PHONY: all

help:
	@lab/make-help
.PHONY: help

##@ Build
## modules: build/<release>/ip_vs_fullnat.ko and toa.ko for KERNEL, or for the tree KDIR
modules: deps-build $(DEPS_KERNEL)
	@lab/modules $(KERNEL)
.PHONY: modules

## ip_vs_fullnat, toa: one of the two modules
ip_vs_fullnat toa: deps-build $(DEPS_KERNEL)
	@lab/modules $(KERNEL) $@
.PHONY: ip_vs_fullnat toa

## tools: build/ipvsadm/ipvsadm, and the lab's generators of traffic
tools: deps-build
	@$(MAKE) -C ipvsadm-patch BUILD=$(BUILD)/ipvsadm UAPI=$(UAPI)
	@$(MAKE) -C lab/fuzz BUILD=$(BUILD)/fuzz
.PHONY: tools

## matrix: builds the modules for KERNELS and the newest kernel there is; a table
matrix: deps-build deps-package
	@lab/matrix $(KERNELS) newest
.PHONY: matrix

## deb: the Debian packages, in build/deb
deb: deps-build deps-package
	@packaging/build
.PHONY: deb

## install: modules, tool, examples; what ROLE=lb or ROLE=rs needs (KERNEL, DESTDIR)
install:
	@ROLE='$(ROLE)' $(if $(filter file,$(origin KERNEL)),,KERNEL_RELEASE="$$(lab/kernel release '$(KERNEL)')") \
		lab/install '$(DESTDIR)'
.PHONY: install

## debug-kernel: the kernel with every checker (KASAN, lockdep...), for KERNEL=debug
debug-kernel: deps-build deps-debug
	@lab/kernel image debug
.PHONY: debug-kernel

##@ Test
## check: lint, unit, fuzz smoke and the scenarios on KERNELS; ends with the counts
check: deps
	@lab/check $(KERNELS)
.PHONY: check

## check-long: the scenarios that are too long for every push (docs/testing.md)
check-long: deps
	@lab/check --long $(KERNELS)
.PHONY: check-long

## check-packages: apt, DKMS and systemd with our packages, in machines of KERNELS (long)
check-packages: deps
	@lab/check --packages $(KERNELS)
.PHONY: check-packages

## check-compat: older builds beside the newest, as docs/compatibility.md promises (KERNEL)
check-compat: deps-build deps-lab modules tools
	@lab/compat-check $(KERNEL)
.PHONY: check-compat

## walk: README.md, word for word, on fresh Debians: one load balancer, then a cluster
walk: deps-build deps-lab deps-package
	@lab/walk $(KERNEL)
.PHONY: walk

## check-debug: the scenarios on the debug kernel, and failing allocations (LONG=1: @long)
check-debug: deps deps-debug
	@LAB_LONG=$(LONG) lab/check --debug
.PHONY: check-debug

## check-quick-debug: the scenarios on a debug kernel that this host executes (LONG=1: @long)
check-quick-debug: deps deps-debug
	@LAB_LONG=$(LONG) lab/check --quick-debug
.PHONY: check-quick-debug

## coverage: what the scenarios on the debug kernel run of our code, in build/coverage
coverage: deps-build deps-lab deps-debug
	@lab/coverage $(RUN)
.PHONY: coverage

## lint: checkpatch, sparse, W=1, shellcheck, Python
lint: deps-build deps-lint
	@lab/lint $(KERNELS)
.PHONY: lint

## unit: unit tests in userspace
unit: deps-build deps-test
	@$(MAKE) -C toa/tests unit BUILD=$(BUILD)/tests
.PHONY: unit

## fuzz: a short run of the fuzzers
fuzz: deps-build deps-test
	@$(MAKE) -C toa/tests fuzz BUILD=$(BUILD)/tests
.PHONY: fuzz

## scenarios: all scenarios in one machine with network namespaces (ONLY=pattern)
scenarios: deps-build deps-lab modules tools
	@lab/run-scenarios $(KERNEL) '$(ONLY)'
.PHONY: scenarios

## cluster: keepalived on two load balancers with systemd (ONLY=pattern, LONG=1)
cluster: deps-build deps-lab modules tools
	@LAB_LONG=$(LONG) lab/run-cluster $(KERNEL) '$(ONLY)'
.PHONY: cluster

## fuzz-packets: mutated packets through the LB, from live connections (COUNT, SEED)
fuzz-packets: deps-build deps-lab modules tools
	@LAB_LONG=1 LAB_FUZZ_COUNT=$(COUNT) LAB_FUZZ_SEED=$(SEED) \
		lab/run-scenarios $(KERNEL) 37_hostile/fuzz_packets
.PHONY: fuzz-packets

## bench-toa: what toa costs a real server, in instructions, on KERNEL
bench-toa: deps-build deps-lab modules tools
	@lab/vm-run --icount $(KERNEL) lab/bench/toa.py
.PHONY: bench-toa

## bench: instructions on the LB, beside NAT, nft, HAProxy (FLOWS=n, ROWS=packets|connections)
bench: deps-build deps-lab modules tools
	@lab/vm-run --icount -m $(if $(FLOWS),6144,2048) -t 7200 $(KERNEL) lab/bench/lb.py \
		$(if $(FLOWS),--flows $(FLOWS)) $(if $(ROWS),--rows $(ROWS))
.PHONY: bench

## bench-native: what a packet costs in nanoseconds, in a kernel that this host executes (FLOWS=n)
bench-native: deps-build deps-debug deps-lab tools
	@lab/modules native ip_vs_fullnat
	@lab/native-run -m $(if $(FLOWS),8192,2048) -t 7200 lab/bench/native.py \
		$(if $(FLOWS),--flows $(FLOWS))
.PHONY: bench-native

## profile: what a packet of WAY executes, by function, or beside the way LESS
profile: deps-build deps-lab modules tools
	@$(MAKE) -C lab/fuzz BUILD=$(BUILD)/fuzz PROFILER=$(BUILD)/bench/profile.so profiler
	@lab/vm-run --icount --profile -m 2048 $(KERNEL) lab/bench/profile.py \
		$(if $(COLUMN),--column '$(COLUMN)') '$(or $(WAY),FULLNAT, slow path)' $(if $(LESS),'$(LESS)')
.PHONY: profile

##@ Play
## lab: four machines, the whole chain, a table of what everyone saw (SHELL_ON=lb)
lab: deps-build deps-lab modules tools
	@lab/run-lab $(KERNEL)
.PHONY: lab

## shell: a console in one machine with our modules and tool
shell: deps-build deps-lab modules tools
	@lab/vm-run $(KERNEL)
.PHONY: shell

##@ Housekeeping
## deps: installs the host's missing tools, or says which
deps:
	@lab/host-deps
deps-%:
	@lab/host-deps $*
.PHONY: deps

## clean: removes what was built, keeps what was downloaded
clean:
	@lab/clean
## distclean: removes all of build/
distclean:
	@lab/clean all
.PHONY: clean distclean
