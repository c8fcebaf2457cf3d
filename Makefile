# SPDX-License-Identifier: PostgreSQL
#
# One makefile for everything; V=1 shows the commands.
#
#   make            build/hostflags.so and build/hostflags-host
#   make demo       the whole thing at work, in under a minute
#   make install    PREFIX=/usr/local, DESTDIR=; make uninstall
#   make test       every test (SANITIZE=asan or tsan: the same under that sanitizer)
#   make lint       format, layers, both compilers, cppcheck, generated docs
#   make bench      figures, each against its target; BENCH="reads connects" for some sections
#   make simulate   a day of 1,000 proxies in seconds: build/simulate has the figures and the picture (HF_SEED)
#   make coverage   lines of plugin/ that the tests run through, at least 95 %: build/coverage/index.html
#   make fuzz       libFuzzer on each target of tests/fuzz, HF_FUZZ_SECONDS (60) each
#   make test-oom   each allocation of a whole life fails in turn, in a few minutes
#   make postgres   the PostgreSQL extension, in build/pg; make installcheck: its regress tests, in a server of their own;
#                   make PG_CONFIG=... [install]: the extension alone, with PGXS, for that PostgreSQL
#   make bench-postgres  what a call costs a transaction; make demo-postgres: flags flipped, and seen from psql
#   make dist       build/hostflags-VERSION.zip, for PGXN
#   make test-stress  1,000 random kills of processes that share a cache, and a minute of all calls by many threads,
#                   in a few minutes (HF_STRESS_KILLS, HF_STRESS_SECONDS, HF_SEED)
#
# Objects go to build/ (build/asan, build/tsan under a sanitizer). Each file under tests/unit,
# tests/integration and tests/contract that is called test_*.c becomes a program of its own.

# ---- the PostgreSQL extension. PGXS has rules of its own for all, install and check: so it is a make of its own
# (PG=1), in a directory of its own, since its objects are not those of the plugin. ----

PG_DIR = build/pg
PG_MAKE = mkdir -p $(PG_DIR)/plugin $(PG_DIR)/hosts/postgres && \
	$(MAKE) $(if $(V),,--silent) --no-print-directory -C $(PG_DIR) -f $(CURDIR)/Makefile PG=1 with_llvm=no

PG_CONFIG ?= pg_config

ifdef PG

SRC := $(dir $(firstword $(MAKEFILE_LIST)))
# Those that make a plugin of the engine: threads, the contract, and its status page.
PG_LEFT_OUT := $(addprefix plugin/,gate.c instance.c lent.c life.c memory.c plugin.c prometheus.c status.c thread.c worker.c)
PG_SOURCES := $(filter-out $(PG_LEFT_OUT),$(patsubst $(SRC)%,%,$(wildcard $(SRC)plugin/*.c $(SRC)hosts/postgres/*.c)))
MODULE_big := hostflags
OBJS := $(PG_SOURCES:.c=.o)
EXTENSION := sql/hostflags
DATA := $(patsubst $(SRC)%,%,$(wildcard $(SRC)sql/hostflags--*.sql))
PG_CPPFLAGS := -I$(SRC) -DHF_NAME='"hostflags"' \
	-DHF_VERSION='"$(shell sed -n 's/^  "version": "\(.*\)",$$/\1/p' $(SRC)META.json)"'
PG_CFLAGS := -std=gnu11 -fvisibility=hidden -Wno-declaration-after-statement -MMD -MP
SHLIB_LINK := -lcurl -ljson-c
EXTRA_CLEAN := $(OBJS:.o=.d)
$(OBJS): $(SRC)META.json $(SRC)Makefile
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)
-include $(OBJS:.o=.d)

else ifeq ($(origin PG_CONFIG),command line)

.PHONY: all postgres install uninstall clean installcheck
all postgres:
	@$(PG_MAKE) all
install uninstall clean:
	@$(PG_MAKE) $@
# In a throw-away server of its own: one that runs already may not have preloaded us.
installcheck:
	@env -u MAKEFLAGS PG_CONFIG=$(PG_CONFIG) $(MAKE) --no-print-directory installcheck

else

SHELL := /bin/bash
.DELETE_ON_ERROR:
.SUFFIXES:

NAME := $(shell sed -n 's/^  "name": "\(.*\)",$$/\1/p' META.json)
VERSION := $(shell sed -n 's/^  "version": "\(.*\)",$$/\1/p' META.json)

B := build$(if $(SANITIZE),/$(SANITIZE))
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-6s %s\n' $(1) $(2))

comma := ,

CC = gcc
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 \
	-Wpointer-arith -Wwrite-strings
CFLAGS ?= -O2 -g
SANITIZE_FLAGS := $(if $(filter asan,$(SANITIZE)),-fsanitize=address$(comma)undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer) $(if $(filter tsan,$(SANITIZE)),-fsanitize=thread) $(if \
	$(filter coverage,$(SANITIZE)),--coverage -fprofile-update=atomic)
DEFINES := -D_GNU_SOURCE -DHF_NAME='"$(NAME)"' -DHF_VERSION='"$(VERSION)"'
ALL_CFLAGS = -std=gnu11 $(WARNINGS) $(DEFINES) -I. -pthread -MMD -MP $(SANITIZE_FLAGS) $(CFLAGS) $(EXTRA_CFLAGS)
PLUGIN_CFLAGS := -fPIC -fvisibility=hidden -ftls-model=initial-exec
PLUGIN_LDFLAGS := -shared -Wl,-z,nodelete $(if $(SANITIZE),,-Wl$(comma)-z$(comma)defs) -Wl,-z,now \
	-Wl,--exclude-libs,ALL
PLUGIN_LIBS := -lcurl -ljson-c
HOST_LIBS := -luv -linih -ljson-c -ldl
TEST_LIBS := -lcunit -lmicrohttpd -lgnutls -ljson-c -ldl

PLUGIN_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard plugin/*.c))
LOADER_OBJS := $(B)/hosts/loader.o
HOST_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard hosts/proxy/*.c)) $(LOADER_OBJS)
SUPPORT_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard tests/support/*.c))
UNIT_TESTS := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/test_*.c tests/simulate/test_*.c))
INTEGRATION_TESTS := $(patsubst %.c,$(B)/%,$(wildcard tests/integration/test_*.c tests/contract/test_*.c))
FUZZ_TARGETS := decode settings upstream retry_after ini
FUZZ_TESTS := $(FUZZ_TARGETS:%=$(B)/tests/fuzz/fuzz_%)
STRESS_TESTS := $(patsubst %.c,$(B)/%,$(wildcard tests/stress/test_*.c))
# Programs that tests start, and plugins that tests load: one source file each.
TEST_HELPERS := $(patsubst %.c,$(B)/%,$(wildcard tests/integration/run_*.c tests/contract/run_*.c))
TEST_PLUGINS := $(patsubst %.c,$(B)/%.so,$(wildcard tests/contract/plugin_*.c))

.PHONY: all
all: $(B)/hostflags.so $(B)/hostflags-host

$(PLUGIN_OBJS) $(HOST_OBJS): META.json Makefile

$(B)/plugin/%.o: plugin/%.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(PLUGIN_CFLAGS) -c -o $@ $<

$(B)/%.o: %.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(B)/hostflags.so: $(PLUGIN_OBJS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(PLUGIN_LDFLAGS) $(LDFLAGS) -o $@ $^ $(PLUGIN_LIBS)

$(B)/hostflags-host: $(HOST_OBJS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(HOST_LIBS)

$(B)/tests/support/libsupport.a: $(SUPPORT_OBJS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

# Unit tests see the plugin's insides: they link its objects. All other tests see it as a host does.
$(UNIT_TESTS): $(B)/%: $(B)/%.o $(PLUGIN_OBJS) $(B)/tests/support/libsupport.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(PLUGIN_LIBS) $(TEST_LIBS)

$(INTEGRATION_TESTS) $(STRESS_TESTS) $(TEST_HELPERS): $(B)/%: $(B)/%.o $(LOADER_OBJS) $(B)/tests/support/libsupport.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(TEST_LIBS)

# Fuzz targets see the insides as well. Without libFuzzer's main they have one that runs their corpus.
FUZZ_MAIN = $(B)/tests/fuzz/run_corpus.o
$(B)/tests/fuzz/fuzz_decode: $(B)/tests/fuzz/strict_document.o $(B)/tests/fuzz/strict_json.o
$(filter-out %_ini,$(FUZZ_TESTS)): $(PLUGIN_OBJS)
$(B)/tests/fuzz/fuzz_ini: $(patsubst %,$(B)/hosts/proxy/%.o,config config_keys ini log memory nearest value)
$(FUZZ_TESTS): $(B)/%: $(B)/%.o $(FUZZ_MAIN)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(PLUGIN_LIBS) -linih

# Allocations are counted by a malloc of the program's own.
$(B)/tests/integration/test_hot_path: $(B)/tests/bench/allocations.o

$(TEST_PLUGINS): $(B)/%.so: %.c
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -fPIC -shared -o $@ $<

# The simulation sees the plugin's insides as well; the tests of the simulation are among the unit tests.
SIMULATE := $(B)/tests/simulate/simulate
SIMULATE_OBJS := $(patsubst %.c,$(B)/%.o,$(filter-out %/simulate.c %/test_simulate.c,$(wildcard tests/simulate/*.c)))

$(SIMULATE): $(SIMULATE).o $(PLUGIN_OBJS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(PLUGIN_LIBS)

$(SIMULATE) $(B)/tests/simulate/test_simulate: $(SIMULATE_OBJS)

# Tests with real servers that have the extension; they install it themselves.
POSTGRES_TESTS := $(patsubst %.c,$(B)/%,$(wildcard tests/postgres/test_*.c))
POSTGRES_SUPPORT := $(patsubst %.c,$(B)/%.o,$(filter-out $(wildcard tests/postgres/test_*.c tests/postgres/run_*.c),$(wildcard tests/postgres/*.c)))
$(POSTGRES_TESTS) $(POSTGRES_SUPPORT): CFLAGS += -isystem $(shell $(PG_CONFIG) --includedir 2>/dev/null)
$(POSTGRES_TESTS): $(B)/%: $(B)/%.o $(POSTGRES_SUPPORT) $(B)/tests/support/libsupport.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(TEST_LIBS) -lpq

# What they do by themselves: a load, and a demonstration.
POSTGRES_PROGRAMS := $(patsubst %.c,$(B)/%,$(wildcard tests/postgres/run_*.c))
$(POSTGRES_PROGRAMS): CFLAGS += -isystem $(shell $(PG_CONFIG) --includedir 2>/dev/null)
$(POSTGRES_PROGRAMS): $(B)/%: $(B)/%.o $(POSTGRES_SUPPORT) $(B)/tests/support/libsupport.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(TEST_LIBS) -lpq

# These have a malloc of their own, which the libraries they load are to use.
OOM_TEST := $(B)/tests/oom/test_oom
$(OOM_TEST): $(patsubst %.c,$(B)/%.o,$(wildcard tests/oom/*.c)) $(B)/tests/support/libsupport.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(TEST_LIBS)
$(B)/tests/unit/test_decode_memory: $(patsubst %,$(B)/tests/oom/%.o,allocations kept lost within)
$(B)/tests/unit/test_kept: $(B)/tests/oom/kept.o
$(OOM_TEST) $(B)/tests/unit/test_decode_memory: LDFLAGS += -rdynamic

PRINT_SETTINGS := $(B)/tests/docs/print_settings
DEMO := $(B)/tests/demo/demo

$(PRINT_SETTINGS): $(B)/tests/docs/print_settings.o $(PLUGIN_OBJS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(PLUGIN_LIBS)

$(DEMO): $(patsubst %.c,$(B)/%.o,$(wildcard tests/demo/*.c)) $(B)/tests/support/libsupport.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(TEST_LIBS)

BENCH_PLUGINS := $(patsubst %.c,$(B)/%.so,$(wildcard tests/bench/plugin_*.c)) $(B)/tests/bench/hostflags_beside.so
BENCH_PROGRAM := $(B)/tests/bench/bench

$(BENCH_PROGRAM): $(patsubst %.c,$(B)/%.o,$(filter-out tests/bench/plugin_%,$(wildcard tests/bench/*.c))) $(B)/tests/support/libsupport.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(TEST_LIBS)

# A copy is loaded as another plugin, with a cache of its own.
$(B)/tests/bench/hostflags_beside.so: $(B)/hostflags.so
	$(call say,COPY,$@)
	@mkdir -p $(@D)
	$(Q)cp $< $@

# The ancestor normalises names as the plugin does.
$(B)/tests/bench/plugin_%.so: tests/bench/plugin_%.c $(B)/plugin/upstream.o
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -fPIC -shared -Wl,--as-needed -o $@ $(filter %.c %.o,$^)

.PHONY: tests
tests: all $(UNIT_TESTS) $(INTEGRATION_TESTS) $(POSTGRES_TESTS) $(FUZZ_TESTS) $(STRESS_TESTS) $(OOM_TEST) $(TEST_HELPERS) $(TEST_PLUGINS) $(DEMO) $(SIMULATE) $(BENCH_PROGRAM) $(BENCH_PLUGINS) $(POSTGRES_PROGRAMS)

# ---- installing: PREFIX, DESTDIR and the directories below may be set: make install libdir=... ----

PREFIX ?= /usr/local
bindir = $(PREFIX)/bin
libdir = $(PREFIX)/lib
includedir = $(PREFIX)/include
datadir = $(PREFIX)/share
mandir = $(datadir)/man
docdir = $(datadir)/doc/hostflags
plugindir = $(libdir)/hostflags
INSTALL ?= install
ABSTRACT := $(shell sed -n 's/^  "abstract": "\(.*\)",$$/\1/p' META.json)

# What goes where: mode, file, directory. uninstall takes away the same.
INSTALLED = \
	755:$(B)/hostflags-host:$(bindir) \
	644:$(B)/hostflags.so:$(plugindir) \
	644:host_api.h:$(includedir)/hostflags \
	644:$(B)/hostflags.pc:$(libdir)/pkgconfig \
	644:hosts/loader.c:$(datadir)/hostflags \
	644:hosts/loader.h:$(datadir)/hostflags \
	644:plugin/hostflags.7:$(mandir)/man7 \
	644:hosts/proxy/hostflags-host.1:$(mandir)/man1 \
	644:README.md:$(docdir) \
	644:LICENSE:$(docdir) \
	644:hosts/proxy/hostflags-host.ini:$(docdir)/examples \
	644:hosts/proxy/hostflags-host.service:$(docdir)/examples \
	644:hosts/proxy/hostflags-metrics.service:$(docdir)/examples \
	644:hosts/proxy/hostflags-metrics.timer:$(docdir)/examples \
	644:hosts/proxy/hostflags.rules.yml:$(docdir)/examples

# Always made anew: it holds the directories of this call.
.PHONY: FORCE
$(B)/hostflags.pc: plugin/hostflags.pc.in FORCE
	@mkdir -p $(@D)
	$(Q)sed -e 's|@prefix@|$(PREFIX)|' -e 's|@includedir@|$(includedir)/hostflags|' -e 's|@plugindir@|$(plugindir)|' \
	  -e 's|@datadir@|$(datadir)|' -e 's|@name@|$(NAME)|' -e 's|@abstract@|$(ABSTRACT)|' -e 's|@version@|$(VERSION)|' $< >$@

.PHONY: install uninstall
install: all $(B)/hostflags.pc
	@for item in $(INSTALLED); do \
	  IFS=: read -r mode file directory <<<"$$item"; \
	  printf '  %-6s %s\n' INSTALL "$(DESTDIR)$$directory/$${file##*/}"; \
	  $(INSTALL) -D -m "$$mode" "$$file" "$(DESTDIR)$$directory/$${file##*/}" || exit 1; \
	done

# Directories go where they are empty and named after us.
uninstall:
	@for item in $(INSTALLED); do \
	  IFS=: read -r mode file directory <<<"$$item"; \
	  rm -f "$(DESTDIR)$$directory/$${file##*/}"; \
	  case "$$directory" in */hostflags | */examples) rmdir "$(DESTDIR)$$directory" 2>/dev/null ;; esac; \
	done; rmdir "$(DESTDIR)$(docdir)" 2>/dev/null; true

# ---- what people call ----

JOBS := $(shell nproc 2>/dev/null || echo 2)

.PHONY: deps
deps:
	@.ci/deps build test lint postgres

.PHONY: postgres installcheck
postgres:
	@.ci/deps build postgres
	@$(PG_MAKE) -j$(JOBS) all

installcheck: postgres
	@.ci/deps build test postgres
	@$(MAKE) --no-print-directory -j$(JOBS) $(B)/tests/postgres/test_regress
	@HF_BUILD=$(B) .ci/test $(B)/tests/postgres/test_regress

.PHONY: demo
demo:
	@.ci/deps build demo
	@$(MAKE) --no-print-directory -j$(JOBS) all $(DEMO)
	@HF_BUILD=$(B) $(DEMO)

.PHONY: demo-postgres
demo-postgres:
	@.ci/deps build demo postgres
	@$(PG_MAKE) -j$(JOBS) all
	@$(MAKE) --no-print-directory -j$(JOBS) $(B)/tests/postgres/run_demo
	@HF_BUILD=$(B) $(B)/tests/postgres/run_demo

.PHONY: test
test:
	@.ci/deps build test postgres
	@$(MAKE) --no-print-directory -j$(JOBS) tests
	@$(if $(SANITIZE),,$(PG_MAKE) -j$(JOBS) all)
	@$(if $(SANITIZE),,.ci/readme-example README.md)
	@HF_BUILD=$(B) HF_SLOW=$(if $(SANITIZE),4,1) .ci/test $(UNIT_TESTS) $(INTEGRATION_TESTS) $(FUZZ_TESTS) $(POSTGRES_TESTS_RUN) $(if $(SANITIZE),,tests/install/test_install.sh --valgrind $(VALGRIND_TESTS))

# ThreadSanitizer has nothing to see in servers, whose processes have no threads of ours. A dist has no sanitizer.
POSTGRES_TESTS_RUN := $(if $(SANITIZE),$(if $(filter asan,$(SANITIZE)),$(filter-out %/test_dist,$(POSTGRES_TESTS))),$(POSTGRES_TESTS))

# Those that fork or that measure processes are left out: valgrind follows one process. So are those that
# wait for long (ETags, Retry-After, what a reload keeps, callers of status): asan sees these as well.
VALGRIND_TESTS := $(UNIT_TESTS) $(addprefix $(B)/tests/integration/,test_lifecycle test_shutdown test_reload \
	test_reload_requests test_status test_callbacks test_request test_names test_limits test_ttl test_loader \
	test_tls_client test_tls_trust test_http_proxy test_http_proxy_choice test_secrecy test_get_token test_abuse)

.PHONY: test-asan
test-asan:
	@$(MAKE) --no-print-directory test SANITIZE=asan

.PHONY: test-tsan
test-tsan:
	@$(MAKE) --no-print-directory test SANITIZE=tsan

.PHONY: test-stress
test-stress:
	@.ci/deps build test
	@$(MAKE) --no-print-directory -j$(JOBS) all $(STRESS_TESTS)
	@HF_BUILD=$(B) HF_SLOW=$(if $(SANITIZE),4,1) .ci/test $(STRESS_TESTS)

# README's table is compared with what came out: the figures and their targets, not what was measured. bench-docs
# puts it there as it is.
.PHONY: bench bench-docs
bench:
	@.ci/deps build test
	@$(MAKE) --no-print-directory -j$(JOBS) all $(BENCH_PROGRAM) $(BENCH_PLUGINS)
	@HF_BUILD=$(B) $(BENCH_PROGRAM) $(BENCH) && .ci/bench-table README.md $(B)/bench.md $(or $(TABLE),check)

bench-docs:
	@$(MAKE) --no-print-directory bench BENCH= TABLE=write

.PHONY: bench-postgres
bench-postgres:
	@.ci/deps build test postgres
	@$(PG_MAKE) -j$(JOBS) all
	@$(MAKE) --no-print-directory -j$(JOBS) $(B)/tests/postgres/run_load
	@HF_BUILD=$(B) $(B)/tests/postgres/run_load

# The picture is drawn also when a target was missed. README's tables and its picture are compared with what came
# out, unless it is another day (HF_SEED). simulate-docs puts both where README shows them.
DRAW = gnuplot -e "directory='$(B)/simulate'; kind='$(1)'" tests/simulate/day.gnuplot

.PHONY: simulate simulate-docs
simulate:
	@.ci/deps build simulate
	@$(MAKE) --no-print-directory -j$(JOBS) $(SIMULATE)
	@mkdir -p $(B)/simulate
	@status=0; $(SIMULATE) $(B)/simulate || status=1; \
	  $(call DRAW,png) && $(call DRAW,svg) || exit 1; \
	  $(if $(HF_SEED),,.ci/simulate-tables README.md $(B)/simulate/summary $(or $(SHOWN),check) || status=1; \
	  .ci/simulate-picture $(B)/simulate/day.svg tests/simulate/day.svg $(or $(SHOWN),check) || status=1;) exit $$status

simulate-docs:
	@$(MAKE) --no-print-directory simulate SHOWN=write

# clang's objects go to build/fuzz, and so does what is found.
FUZZ_FLAGS := address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
.PHONY: fuzz fuzz-targets
fuzz:
	@.ci/deps build fuzz
	@$(MAKE) --no-print-directory -j$(JOBS) fuzz-targets B=build/fuzz CC=clang FUZZ_MAIN= \
	  EXTRA_CFLAGS='-fsanitize=fuzzer-no-link,$(FUZZ_FLAGS)' LDFLAGS='-fsanitize=fuzzer,$(FUZZ_FLAGS)'
	@.ci/fuzz $(FUZZ_TARGETS)
fuzz-targets: $(FUZZ_TESTS)

.PHONY: test-oom
test-oom:
	@.ci/deps build test
	@$(MAKE) --no-print-directory -j$(JOBS) all $(OOM_TEST)
	@HF_BUILD=$(B) .ci/test $(OOM_TEST)

# The same tests once more, with counters. Who is killed, or ends by _exit, does not write them. gcovr 5.2 stumbles over
# counters of branches that children of forks have made negative, and is told to go on; what it says is in the log.
.PHONY: coverage
coverage:
	@.ci/deps build test coverage
	@find build/coverage -name '*.gcda' -delete 2>/dev/null || true
	@$(MAKE) --no-print-directory test SANITIZE=coverage
	@$(MAKE) --no-print-directory check-docs SANITIZE=coverage
	@gcovr --root . --filter plugin/ --gcov-ignore-parse-errors --txt build/coverage/lines.txt \
	  --html-details build/coverage/index.html --fail-under-line 95 build/coverage/plugin 2>build/coverage/gcovr.log; \
	  status=$$?; cat build/coverage/lines.txt; [ $$status -eq 0 ] || tail -n 5 build/coverage/gcovr.log; exit $$status

# What is committed, as PGXN wants it.
.PHONY: dist
dist:
	@mkdir -p build
	@git archive --format=zip --prefix=$(NAME)-$(VERSION)/ -o build/$(NAME)-$(VERSION).zip HEAD
	@echo "build/$(NAME)-$(VERSION).zip"

SOURCES = $(shell git ls-files '*.c' '*.h')

.PHONY: format
format:
	@.ci/deps lint
	clang-format -i $(SOURCES)

.PHONY: lint
lint:
	@.ci/deps build test lint postgres
	clang-format --dry-run -Werror $(SOURCES)
	@.ci/layers
	@for script in $$(grep -l '^#!/usr/bin/env bash' .ci/* tests/install/*); do bash -n $$script || exit 1; done
	@$(MAKE) --no-print-directory -j$(JOBS) tests $(PRINT_SETTINGS)
	@$(MAKE) --no-print-directory -j$(JOBS) tests CC=clang B=build/clang
	@$(MAKE) --no-print-directory postgres PG_DIR=build/pg-strict COPT='-Wextra -Wno-unused-parameter -Werror'
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
	  --suppressions-list=.ci/cppcheck.supp --error-exitcode=1 -I. -D_GNU_SOURCE \
	  -DHF_NAME='"$(NAME)"' -DHF_VERSION='"$(VERSION)"' -DLIBCURL_VERSION_NUM=0x075800 -DPG_VERSION_NUM=150000 --library=.ci/cppcheck.cfg -j$(JOBS) plugin hosts
	@$(MAKE) --no-print-directory check-docs
	mandoc -T lint -W warning $(MAN_PAGES)
	@echo "lint: ok"

MAN_PAGES := plugin/hostflags.7 hosts/proxy/hostflags-host.1

# The tables of settings in README and hostflags(7) are what the code says.
.PHONY: docs check-docs
docs: $(PRINT_SETTINGS)
	@.ci/settings-table README.md $(PRINT_SETTINGS) markdown write
	@.ci/settings-table plugin/hostflags.7 $(PRINT_SETTINGS) mdoc write
check-docs: $(PRINT_SETTINGS)
	@.ci/settings-table README.md $(PRINT_SETTINGS) markdown check
	@.ci/settings-table plugin/hostflags.7 $(PRINT_SETTINGS) mdoc check

.PHONY: clean
clean:
	$(Q)rm -rf build

-include $(shell test -d $(B) && find $(B) -name '*.d' 2>/dev/null)

endif
