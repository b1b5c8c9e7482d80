# Builds and installs the extension with PGXS. `make demo` and `make test` (see README.md) need nothing but this file.
# The version stands in META.json; test/t/041_meta.pl holds every other place to it.

EXTENSION = gallery_revert
EXTVERSION := $(shell sed -n 's/^   "version": "\(.*\)",$$/\1/p' META.json)
# Where the project is and where to report: the line "resources" there, which may be empty.
HOMEPAGE := $(shell sed -n 's/^   "resources": .*"homepage": "\([^"]*\)".*/\1/p' META.json)
BUGTRACKER := $(shell sed -n 's/^   "resources": .*"bugtracker": { "web": "\([^"]*\)".*/\1/p' META.json)

MODULE_big = $(EXTENSION)
SOURCES = $(wildcard src/*.cpp src/*/*.cpp)
OBJS = $(SOURCES:.cpp=.o)
DATA = $(wildcard $(EXTENSION)--*.sql)

# The first makes the databases that the others copy, the last removes them, so `make installcheck` needs no more than a server on this
# machine that has the extension.
REGRESS = fixtures $(filter-out fixtures cleanup,$(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql)))) cleanup
REGRESS_OPTS = --inputdir=$(CURDIR) --outputdir=$(CURDIR)/build/regress
REGRESS_PREP = build/regress build/test_guard.so
# Not ISOLATION: each of these commits a revert, in a database of its own.
SPECS = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))

EXTRA_CLEAN = build scripts/advise.sql src/*.bc src/*/*.bc src/*.d src/*/*.d

PG_CPPFLAGS = -I$(CURDIR)/src -DGALLERY_REVERT_VERSION='"$(EXTVERSION)"' -DGALLERY_REVERT_HOMEPAGE='"$(HOMEPAGE)"' \
	-DGALLERY_REVERT_BUGTRACKER='"$(BUGTRACKER)"'
# For size: half the bytes to install and a third less time to compile, while all that takes time at run time is the server's work.
PG_CXXFLAGS = -std=c++20 -Os -Wall -Wextra -Werror -Wno-register -MMD -MP -fvisibility=hidden -fvisibility-inlines-hidden
# Templates of the C++ library stay visible whatever the compiler is told; the linker hides them.
SHLIB_LINK = $(CXX_RUNTIME) $(EXTRA_LIBS)
# packaging/binaries puts it into the module.
CXX_RUNTIME = -lstdc++
$(EXTENSION).so: SHLIB_LINK += -Wl,--version-script=$(EXTENSION).map

# The server's bitcode rule knows nothing of PG_CXXFLAGS, and inlining a function called once gains nothing.
override with_llvm = no

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq ($(wildcard $(PGXS)),)
include $(PGXS)
# The server's headers are not ours to warn about; PGXS adds its own warning flags for C++ on some builds.
override CXXFLAGS += -Wno-unused-parameter -Wno-sign-compare $(EXTRA_CXXFLAGS)
# The server was built with g++ and passes on its names of warnings and attributes.
override CXXFLAGS += $(if $(findstring clang,$(CXX)),-Wno-unknown-warning-option -Wno-ignored-attributes)
else
all install:
	@echo "no PGXS for PG_CONFIG=$(PG_CONFIG): install postgresql-server-dev, or set PG_CONFIG" >&2; exit 1
endif

-include $(SOURCES:.cpp=.d)

# What scripts/advise.sh asks, from the same facts; not where the module alone is built, as in images.
all: $(if $(wildcard tools/advise-sql),scripts/advise.sql)
scripts/advise.sql: tools/advise-sql META.json $(addprefix src/answers/,advice.sql.in advice_steps.inc findings.sql) \
                    $(wildcard src/manifest/*.inc)
	tools/advise-sql >$@.new && mv $@.new $@

# The tests call psql and pg_dump: those of this server.
installcheck: export PATH := $(bindir):$(PATH)
build/regress:
	mkdir -p $@

# What tools/suite runs inside a cluster that has the templates.
.PHONY: isolation-check
isolation-check:
	test/lib/isolation $(dir $(PGXS))../test/isolation/pg_isolation_regress $(SPECS)

# What needs no server: tested with GoogleTest.
SERVERLESS = test/fuzz/targets.cpp src/database/version.cpp src/database/ledger.cpp src/database/definition.cpp src/manifest/manifest.cpp
UNIT_SOURCES = $(wildcard test/unit/*.cpp) $(SERVERLESS)
build/unit: $(UNIT_SOURCES) $(wildcard src/*/*.hpp test/fuzz/*.hpp src/manifest/*.inc)
	mkdir -p build
	$(CXX) -std=c++20 -Wall -Wextra -Werror -O1 -g $(EXTRA_CXXFLAGS) -Isrc -DCORPUS='"$(CURDIR)/test/fuzz/corpus"' \
		$(UNIT_SOURCES) -o $@ -lgtest -lgtest_main -lpthread

# The same, fuzzed.
build/fuzz/fuzz: test/fuzz/fuzz.cpp $(SERVERLESS) $(wildcard src/*/*.hpp test/fuzz/*.hpp src/manifest/*.inc)
	mkdir -p build/fuzz
	clang++-14 -std=c++20 -Wall -Wextra -Werror -O1 -g -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=undefined -Isrc $(filter %.cpp,$^) -o $@

# SQL functions that raise errors through C++ frames in every way, for sql/guard.sql.
build/test_guard.so: test/modules/test_guard.cpp src/backend/guard.o
	mkdir -p build
	$(CXX) $(CXXFLAGS) -fvisibility=default $(CPPFLAGS) -shared -o $@ $^ $(SHLIB_LINK)

# Faults from outside the product, for test/t/051_faults.pl: hooks of the server, and a library that stands before the C library.
build/test_faults.so: test/modules/test_faults.cpp
	mkdir -p build
	$(CXX) $(CXXFLAGS) -fvisibility=default $(CPPFLAGS) -shared -o $@ $<
build/test_preload.so: test/modules/test_preload.cpp
	mkdir -p build
	$(CXX) -std=c++20 -Wall -Wextra -Werror -O1 -fPIC -shared -o $@ $< -ldl

# What a developer calls. Each script says at its top what it installs and does.
.PHONY: demo test test-matrix test-sanitize test-assert test-valgrind fuzz lint bench
.PHONY: links deb dist binaries test-deb test-pgxn test-image test-containers test-binaries test-kubernetes
demo:
	tools/demo
test:
	tools/test
test-matrix:
	tools/test-matrix
test-sanitize:
	tools/test-sanitize
test-assert:
	tools/checked-suite regress
	tools/checked-suite isolation
	tools/checked-suite tap
test-valgrind:
	tools/checked-suite --valgrind regress
fuzz:
	tools/fuzz
lint:
	tools/lint
bench:
	bench/run
links:
	packaging/links
deb:
	packaging/deb
dist:
	packaging/dist
binaries:
	packaging/binaries
test-deb:
	packaging/test-install deb
test-pgxn:
	packaging/test-install pgxn
test-image:
	packaging/test-install image
test-containers:
	tools/test-containers
# Those of this machine's architecture in chroots of each release, those of arm64 under an emulator.
test-binaries:
	packaging/test-install binaries
	packaging/test-arm64
# With the content of docker/extension's image.
test-kubernetes:
	packaging/test-kubernetes
