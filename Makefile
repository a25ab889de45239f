# refundx
#
# The library and the extension script are built by PGXS; `make help` lists
# everything else.  `make` alone never installs anything, and a missing
# prerequisite is one line that names the Debian package.
#
#   make TESTPOINTS=1    with the places at which tests make things go wrong
#   make WERROR=1        warnings are errors
#   make -f /path/to/refundx/Makefile    builds in the current directory

here := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
BUILD ?= $(CURDIR)/build

FLOORS = base crypto channel notice net money api worker

# The floors that know no Postgres: also in the unit tests, and the sandbox.
PURE_FLOORS = crypto channel notice net
PURE_SRCS := $(wildcard $(here)/src/base/buf.c $(here)/src/base/http_message.c $(here)/src/base/scrub.c \
	$(foreach floor,$(PURE_FLOORS),$(here)/src/$(floor)/*.c))

# Goals that need no server headers: `make check` begins where nothing is
# installed yet.
OWN_GOALS = help setup sandbox unit-programs unit layers fuzz conformance check demo demo-stop bench
goals := $(or $(MAKECMDGOALS),all)
own_goals := $(filter $(OWN_GOALS),$(goals))
pgxs_goals := $(filter-out $(OWN_GOALS),$(goals))

.PHONY: $(OWN_GOALS)

ifeq (,$(own_goals))

#----------------------------------------------------------------------------
# PGXS: all, install, uninstall, installcheck, clean
#----------------------------------------------------------------------------

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)

ifneq (,$(filter-out clean distclean maintainer-clean,$(goals)))
missing := $(shell CC='$(CC)' PG_CONFIG='$(PG_CONFIG)' '$(here)/tools/missing' build)
ifneq (,$(missing))
$(error $(missing))
endif
endif

ifeq (,$(wildcard $(PGXS)))

# Only reached by the clean targets, which must work without a server.
clean distclean maintainer-clean:
	find src -name '*.o' -o -name '*.d' | xargs -r rm -f
	rm -rf refundx.so refundx--*.sql build results output_iso tmp_check log

else

EXTENSION = refundx
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" '$(here)/refundx.control')

MODULE_big = refundx
SRCS := $(patsubst $(here)/%,%,$(sort $(wildcard $(here)/src/refundx.c \
	$(foreach floor,$(FLOORS),$(here)/src/$(floor)/*.c))))
OBJS = $(SRCS:.c=.o)

DATA = $(patsubst $(here)/%,%,$(wildcard $(here)/src/sql/upgrade/refundx--*--*.sql))
DATA_built = refundx--$(EXTVERSION).sql
SQL_PARTS := $(sort $(wildcard $(here)/src/sql/*.sql))

PG_CPPFLAGS = -I$(here)/src -MMD -MP -DREFUNDX_VERSION='"$(EXTVERSION)"' $(if $(TESTPOINTS),-DREFUNDX_TESTPOINTS)
PG_CFLAGS = -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers \
	$(if $(WERROR),-Werror)
SHLIB_LINK = -Wl,--version-script=$(here)/src/refundx.map -lcurl -lmicrohttpd -ljansson -lcrypto -lzip -lz

# Bitcode lets the JIT inline functions into expressions; none of ours is ever
# hot in one, and it doubles the time of a build.
override with_llvm = no

# The running server of `make installcheck` needs
# shared_preload_libraries = 'refundx', max_prepared_transactions > 0, a
# payee.key in refundx.key_directory (openssl rand -hex 32, mode 0600) and a user
# other than root; test/run starts one that fits.
REGRESS = $(patsubst $(here)/sql/%.sql,%,$(sort $(wildcard $(here)/sql/*.sql)))
ISOLATION = $(patsubst $(here)/test/isolation/specs/%.spec,%,$(sort $(wildcard $(here)/test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=$(here)/test/isolation --load-extension=refundx
TAP_TESTS = $(if $(wildcard $(here)/test/t/*.pl),1)
PROVE_TESTS = test/t/*.pl
EXTRA_CLEAN = $(OBJS:.o=.d) build regression.diffs regression.out results output_iso tmp_check log \
	refundx--*.sql

include $(PGXS)

PG_PROVE_FLAGS += -I $(here)/test/lib

# PGXS would find in the source directory's own build what a build elsewhere
# has not made yet; let it find sources only.
VPATH :=
ifneq ($(here),.)
vpath %.c $(here)
vpath %.control $(here)
endif

# What was built with other flags, or from another list of files, is stale.
ifneq (,$(filter-out clean distclean maintainer-clean uninstall,$(goals)))
$(shell mkdir -p build $(sort $(dir $(OBJS))))
define remember
ifneq ($$(strip $$($(1))),$$(strip $$(file <build/$(1))))
$$(file >build/$(1),$$(strip $$($(1))))
endif
endef
compile_with := $(CC) $(CFLAGS) $(CPPFLAGS)
link_with := $(OBJS) $(SHLIB_LINK)
script_of := $(SQL_PARTS)
$(foreach list,compile_with link_with script_of,$(eval $(call remember,$(list))))
endif

build/compile_with build/link_with build/script_of: ;

$(OBJS): build/compile_with
$(MODULE_big)$(DLSUFFIX): build/link_with $(here)/src/refundx.map

$(DATA_built): $(SQL_PARTS) $(here)/refundx.control build/script_of
	{ printf '%s\n' '\echo Use "CREATE EXTENSION refundx" to load this file. \quit'; \
	  for part in $(SQL_PARTS); do echo; cat "$$part" || exit 1; done; } > $@.tmp
	mv $@.tmp $@

-include $(wildcard $(OBJS:.o=.d))

endif

else ifneq (,$(pgxs_goals))

#----------------------------------------------------------------------------
# Goals of both kinds at once: one after the other
#----------------------------------------------------------------------------

.NOTPARALLEL:
.PHONY: $(pgxs_goals)
$(goals):
	@$(MAKE) --no-print-directory -f '$(here)/Makefile' $@

else

#----------------------------------------------------------------------------
# Everything that is not PGXS
#----------------------------------------------------------------------------

help:   ## this list
	@echo 'make              the library and the extension script'
	@echo 'make install      into the server that pg_config belongs to'
	@echo 'make installcheck tests against a running server that preloads refundx (with a payee.key)'
	@echo 'make clean        removes what was built'
	@sed -n 's|^\([a-z -]*\):.*## \(.*\)|\1\t\2|p' '$(here)/Makefile' | \
		while IFS='	' read -r goal what; do printf 'make %-13s%s\n' "$$goal" "$$what"; done

setup:  ## installs the Debian packages that are missing (needs root or sudo)
	@tools/setup all

sandbox: ## the program that plays the channels: build/refundx-sandbox
	@tools/missing sandbox
	$(MAKE) -C sandbox BUILD='$(BUILD)'

check:  ## every test; ends with "N passed, N failed"
	@test/run

unit:   ## the channels, the notices and the cryptography, without a server
	@test/run unit
layers: ## who may include whom
	@test/run layers
fuzz:   ## every parser that sees a stranger's bytes, for a minute each (FUZZ_SECONDS)
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-60} TEST_TIMEOUT=$${TEST_TIMEOUT:-7200} test/run fuzz
conformance: ## code that others wrote, against the sandbox and the extension
	@test/run conformance

demo:   ## plays the story of a refund, and how it comes out right
	@tools/setup run
	@tools/demo
demo-stop: ## stops it, and removes what it made
	@tools/demo stop

bench:  ## the figures in doc/performance.md, each beside its baseline
	@tools/setup bench
	@test/bench/run

# The unit tests, with the pure floors under AddressSanitizer and UBSan.
UNIT_CFLAGS = -std=gnu99 -g -O1 -fno-omit-frame-pointer \
	-Wall -Wextra -Wmissing-prototypes -Wpointer-arith -Wdeclaration-after-statement -Wvla \
	-Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers \
	$(if $(WERROR),-Werror) -fsanitize=address,undefined -fno-sanitize-recover=undefined
UNIT_CPPFLAGS = -D_GNU_SOURCE -I$(here)/src -I$(here)/test/unit -MMD -MP
UNIT_LIBS = -lcurl -lmicrohttpd -ljansson -lcrypto -lzip -lz -lpthread
UNIT_OBJS = $(patsubst $(here)/src/%.c,$(BUILD)/unit/%.o,$(PURE_SRCS))
UNIT_PROGRAMS = $(patsubst $(here)/test/unit/%.c,$(BUILD)/unit/%,$(wildcard $(here)/test/unit/test_*.c)) \
	$(BUILD)/unit/test_example

unit-programs: $(UNIT_PROGRAMS)

$(BUILD)/unit/test_%: $(here)/test/unit/test_%.c $(UNIT_OBJS)
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) $(UNIT_CPPFLAGS) -o $@ $< $(UNIT_OBJS) $(UNIT_LIBS)

# The channel that doc/writing-a-channel.md builds, and its test, cut out of it.
$(BUILD)/unit/test_example: $(here)/doc/writing-a-channel.md $(here)/tools/doc-files $(UNIT_OBJS)
	@rm -rf $(BUILD)/doc-files
	'$(here)/tools/doc-files' $< $(BUILD)/doc-files
	$(CC) $(UNIT_CFLAGS) $(UNIT_CPPFLAGS) -o $@ $(BUILD)/doc-files/src/channel/*.c \
		$(BUILD)/doc-files/test/unit/test_example.c $(UNIT_OBJS) $(UNIT_LIBS)

$(BUILD)/unit/%.o: $(here)/src/%.c
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) $(UNIT_CPPFLAGS) -c -o $@ $<

ifneq (,$(filter unit-programs,$(goals)))
-include $(wildcard $(UNIT_OBJS:.o=.d) $(UNIT_PROGRAMS:=.d))
endif

endif
