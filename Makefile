# SPDX-License-Identifier: GPL-2.0-only
# kvm-dmp. `make help` lists what there is.
TOP	:= $(abspath $(dir $(lastword $(MAKEFILE_LIST))))
BUILD	:= $(TOP)/build
MACHINE	?= svm
MODE	?= shadow
FUZZ_SECONDS ?= 600

.PHONY: help setup kvm bench tools demo test soak check unit machine fuzz shell clean distclean
.NOTPARALLEL:

help:
	@echo "make demo [MACHINE=svm]   measure native, nested and shadow paging, list hot instructions"
	@echo "make test                 the gate: what finds most in least time, ten to twenty-three minutes"
	@echo "make soak [PART=...]      every test there is, whole, in parts of an hour at most;"
	@echo "                          tests/run --help: their names, tests/verdicts: what they said;"
	@echo "                          REST=1: without what has passed with the same code"
	@echo
	@echo "make setup                packages and Debian's kernel (the others call it)"
	@echo "make kvm | bench | tools  build the KVM modules | dmp-bench | dmp, under build/"
	@echo "make check                style and static checks"
	@echo "make unit                 the engine's tests in user space"
	@echo "make machine [CASES=2500]  stubs against the instructions they replace, on an emulated CPU"
	@echo "make fuzz [FUZZ_SECONDS=600] fuzz the instruction decoder"
	@echo "make shell [MACHINE=svm MODE=shadow]"
	@echo "                          a console in a guest on an emulated machine (svm, vmx);"
	@echo "                          more: lab/run --help, --list"
	@echo "make clean                removes what was built; distclean: Debian's kernel, too"

setup:
	@$(TOP)/scripts/setup.sh

kvm: setup
	@$(TOP)/kvm/build.sh

bench: setup
	@$(MAKE) -s -C $(TOP)/bench

tools: setup
	@$(MAKE) -s -C $(TOP)/tools

demo: kvm bench tools
	@$(TOP)/bench/demo $(MACHINE)

test:
	@$(TOP)/tests/run

soak:
	@$(TOP)/tests/run --soak $(PART)

check: setup
	@$(TOP)/scripts/check.sh

unit: setup
	@$(TOP)/tests/run unit

machine: setup
	@$(TOP)/tests/run machine

fuzz: setup
	@$(MAKE) -s -C $(TOP)/tests/fuzz run FUZZ_SECONDS=$(FUZZ_SECONDS)

shell: kvm bench
	@$(TOP)/lab/run --shell $(MACHINE) $(MODE)

# Everything but Debian's kernel, which distclean has to download anew.
clean:
	@[ ! -d $(BUILD) ] || find $(BUILD) -mindepth 1 -maxdepth 1 ! -name kernel -exec rm -rf {} +

distclean:
	@rm -rf $(BUILD)
