#!/usr/bin/env python3
"""Writes a file's octets as a C array: embed.py INPUT OUTPUT NAME."""
import sys

source, target, name = sys.argv[1:]
with open(source, "rb") as f:
    data = f.read()
with open(target, "w", encoding="ascii") as out:
    out.write(f"#include <stddef.h>\n\nextern const unsigned char {name}[];\n")
    out.write(f"extern const size_t {name}_size;\n")
    out.write(f"const size_t {name}_size = {len(data)};\nconst unsigned char {name}[] = {{\n")
    for i in range(0, len(data), 20):
        out.write("    " + ",".join(str(b) for b in data[i : i + 20]) + ",\n")
    out.write("    0,\n};\n")
