# Thin: Meson builds. `make` needs the packages of `make deps`.
BUILD ?= build

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) postern

$(BUILD)/build.ninja:
	@meson setup $(BUILD) >/dev/null

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

.PHONY: all format
