# Thin: Meson builds, tools/ does the rest.
#   make           build/postern                    (needs the packages that `make deps` installs)
#   make demo      install, build, show a relayed, a refused and a bounced message, stop
#   make run       the same server, left in the foreground
#   make check     install what tests need, run all of them
#   make install   PREFIX=/usr/local DESTDIR=
BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 60

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet
	@ln -sf src/bin/postern $(BUILD)/postern

$(BUILD)/build.ninja:
	@meson setup $(BUILD) --prefix $(PREFIX) >/dev/null

deps:
	@tools/packages.sh build

deps-test:
	@tools/packages.sh test

check: deps-test
	@python3 tools/check.py

demo: deps
	@$(MAKE) --no-print-directory all
	@python3 tools/demo.py $(BUILD)/postern

run: deps
	@$(MAKE) --no-print-directory all
	@python3 tools/demo.py --stay $(BUILD)/postern

install: all
	@meson configure $(BUILD) -Dprefix=$(PREFIX)
	@meson install -C $(BUILD) --quiet $(if $(DESTDIR),--destdir $(abspath $(DESTDIR)))

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

# All fuzzers one after the other, on corpora that grow in build-fuzz/found.
fuzz:
	@test -f build-fuzz/build.ninja || CC=clang meson setup build-fuzz -Dfuzz=true \
		-Db_sanitize=address,undefined -Db_lundef=false >/dev/null
	@ninja -C build-fuzz --quiet fuzzers
	@set -e; for program in build-fuzz/fuzz/fuzz-*; do \
		test -f $$program || continue; \
		name=$${program##*/fuzz-}; mkdir -p build-fuzz/found/$$name; \
		echo "$$name: $(FUZZ_SECONDS) s"; \
		$$program -max_total_time=$(FUZZ_SECONDS) -verbosity=0 -artifact_prefix=build-fuzz/found/ \
			build-fuzz/found/$$name fuzz/corpus/$$name; \
	done

bench:
	@tools/packages.sh bench
	@$(MAKE) --no-print-directory all
	@bench/run $(BUILD)/postern

.PHONY: all deps deps-test check demo run install format fuzz bench
