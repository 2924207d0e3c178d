# Spirula. `make help` lists the targets.
#
# The folder of a file says what it belongs to, its name says what it is:
#   X/*_main.cc   build/bin/*          (X/cmon_main.cc is the program build/bin/cmon)
#   X/*_test.cc   build/test/X_test    (GoogleTest; a folder in a folder, X/Y, gives X_Y_test)
#   X/*_bench.cc  build/bench/X_bench  (Google Benchmark)
#   X/*_fuzz.cc   build-fuzz/fuzz/*    (libFuzzer, one program each)
#   X/*.cc        build/lib/libX.a     (everything else)

FOLDERS := base msg crush maps filestore librados osd mon mds client appliance tests/crash tests/simulation
SHELL := /bin/bash
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

SAN ?=
BUILD := build$(if $(SAN),-$(SAN))
JOBS ?= $(shell nproc)
ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(JOBS)
endif

export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1
export CCACHE_COMPILERCHECK := none
CXX := ccache clang++-19
CPPFLAGS := -I. -DBOOST_ASIO_SEPARATE_COMPILATION -DBOOST_ASIO_NO_DEPRECATED -D_FILE_OFFSET_BITS=64
CXXFLAGS := -std=c++23 -O2 -g1 -march=x86-64-v2 -fno-omit-frame-pointer -Wall -Wextra -Wpedantic -Werror \
  -Wno-gnu-statement-expression -Wno-missing-field-initializers -Werror=unused-result -ffile-prefix-map=$(CURDIR)/=
LDFLAGS := -fuse-ld=lld-19 -Wl,--gc-sections -Wl,--as-needed -pthread
LDLIBS := -lrocksdb -lbtrfsutil -luring -laio -lboost_json -lfmt -lcrypto -lssl -lfuse3 -largon2 -lz
ifneq ($(SAN),)
CXXFLAGS += -fsanitize=$(SAN)
LDFLAGS += -fsanitize=$(SAN)
else
# An OSD's requests allocate small things and payloads of megabytes by turns on several threads: glibc's malloc takes a fifth
# of their processor time and gives large blocks back to the kernel, to fault them in again page by page.
$(BUILD)/bin/cosd $(BUILD)/test/tests_simulation_test: LDLIBS += -l:libtcmalloc_minimal.so.4
endif

sources := $(foreach f,$(FOLDERS),$(wildcard $f/*.cc))
mains := $(filter %_main.cc,$(sources))
fuzzers := $(filter %_fuzz.cc,$(sources))
special := %_main.cc %_test.cc %_bench.cc %_fuzz.cc
objects = $(patsubst %.cc,$(BUILD)/obj/%.o,$(1))
folder_sources = $(filter-out $(special),$(filter $(1)/%,$(sources)))
libraries := $(foreach f,$(FOLDERS),$(if $(call folder_sources,$f),$(BUILD)/lib/lib$(subst /,_,$f).a))
programs := $(patsubst %_main.cc,$(BUILD)/bin/%,$(notdir $(mains)))
test_folders := $(sort $(patsubst %/,%,$(dir $(filter %_test.cc,$(sources)))))
bench_folders := $(sort $(patsubst %/,%,$(dir $(filter %_bench.cc,$(sources)))))
group = -Wl,--start-group $(libraries) -Wl,--end-group $(LDLIBS)

.PHONY: all help deps check check-slow test run bench fuzz image appliance lint fmt clean
all: $(programs) $(libraries)

help:
	@echo 'make deps        install the Debian packages of packages.txt'
	@echo 'make all         build the daemons and tools into build/bin'
	@echo 'make run         the appliance here, on loop-backed disks: prints the address of its page and the claim code'
	@echo 'make check       install what is missing, build, lint, run every test (under 20 minutes)'
	@echo 'make check-slow  the long versions: full counts, minutes of fuzzing'
	@echo 'make test-X      unit tests of folder X'
	@echo 'make bench       measure against the device and the stock peer (FULL=1: the long form)'
	@echo 'make fuzz        build the fuzz targets (SAN=address is implied)'
	@echo 'make image       build the disk image into build/image (tests/image boots it)'
	@echo 'make appliance   boot that image in QEMU, with its page on this machine'
	@echo 'make lint fmt    check or repair format and layering'
	@echo 'SAN=address|thread|undefined builds into build-$$SAN'

# --- packages ---------------------------------------------------------------------------------------------------------
packages := $(shell sed 's/\#.*//' packages.txt)
deps_stamp := build/.deps-$(shell sha256sum packages.txt | cut -c1-16)
deps: $(deps_stamp)
$(deps_stamp): packages.txt
	tests/install-packages $(packages)
	@mkdir -p $(@D) && touch $@

# --- compile ----------------------------------------------------------------------------------------------------------
$(BUILD)/obj/%.o: %.cc | $(deps_stamp)
	@mkdir -p $(@D)
	@echo '  CXX   $<'
	@$(CXX) $(CPPFLAGS) $(CXXFLAGS) -MMD -MP -c $< -o $@

# ccache does not see what #embed reads.
$(BUILD)/obj/appliance/page.o: export CCACHE_DISABLE := 1

define library
$(BUILD)/lib/lib$(subst /,_,$(1)).a: $(call objects,$(call folder_sources,$(1)))
	@mkdir -p $$(@D)
	@echo '  AR    $$@'
	@rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(if $(call folder_sources,$f),$(eval $(call library,$f))))

define program
$(BUILD)/bin/$(patsubst %_main.cc,%,$(notdir $(1))): $(call objects,$(1)) $(libraries)
	@mkdir -p $$(@D)
	@echo '  LINK  $$@'
	@$(CXX) $(LDFLAGS) $$< $$(group) -o $$@
endef
$(foreach m,$(mains),$(eval $(call program,$m)))

define test_program
$(BUILD)/test/$(subst /,_,$(1))_test: $(call objects,$(filter $(1)/%_test.cc,$(sources))) $(libraries)
	@mkdir -p $$(@D)
	@echo '  LINK  $$@'
	@$(CXX) $(LDFLAGS) $$(filter %.o,$$^) $(group) -lgmock -lgtest_main -lgtest -o $$@
.PHONY: test-$(subst /,_,$(1))
test-$(subst /,_,$(1)): $(BUILD)/test/$(subst /,_,$(1))_test
	$$<
endef
$(foreach f,$(test_folders),$(eval $(call test_program,$f)))
test: $(addprefix test-,$(subst /,_,$(test_folders)))

define bench_program
$(BUILD)/bench/$(1)_bench: $(call objects,$(filter $(1)/%_bench.cc,$(sources))) $(libraries)
	@mkdir -p $$(@D)
	@echo '  LINK  $$@'
	@$(CXX) $(LDFLAGS) $$(filter %.o,$$^) $(group) -lbenchmark_main -lbenchmark -o $$@
endef
$(foreach f,$(bench_folders),$(eval $(call bench_program,$f)))

# Fuzz targets need the whole tree instrumented, so they build in their own folder.
define fuzz_program
$(BUILD)/fuzz/$(patsubst %_fuzz.cc,%,$(notdir $(1))): $(call objects,$(1)) $(libraries)
	@mkdir -p $$(@D)
	@echo '  LINK  $$@'
	@$(CXX) $(LDFLAGS) -fsanitize=fuzzer $$< $(group) -o $$@
endef
$(foreach m,$(fuzzers),$(eval $(call fuzz_program,$m)))
ifneq ($(BUILD),build-fuzz)
fuzz:
	$(MAKE) SAN=address BUILD=build-fuzz fuzz
else
fuzz: CXXFLAGS += -fsanitize=fuzzer-no-link
fuzz: $(patsubst %_fuzz.cc,$(BUILD)/fuzz/%,$(notdir $(fuzzers)))
endif

# --- gates ------------------------------------------------------------------------------------------------------------
lint:
	tests/lint
fmt:
	clang-format-19 -i $$(git ls-files -co --exclude-standard '*.h' '*.cc')
check: deps
	$(MAKE) all lint
	$(MAKE) $(addprefix $(BUILD)/test/,$(addsuffix _test,$(subst /,_,$(test_folders))))
	tests/check
check-slow: check
	tests/check --slow
	$(MAKE) fuzz
	tests/fuzz
bench: all $(foreach f,$(bench_folders),$(BUILD)/bench/$f_bench)
	tests/bench-monitor
	$(BUILD)/bench/filestore_bench $(if $(FULL),--full)
	tests/bench
	tests/bench-files
run: all
	tests/run-appliance
image: all
	appliance/image/build build/image
appliance:
	[ -e build/image/spirula.img ] || $(MAKE) image
	tests/run-image
clean:
	rm -rf build build-*

-include $(patsubst %.cc,$(BUILD)/obj/%.d,$(sources))
