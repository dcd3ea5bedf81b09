#!/usr/bin/env python3
"""Writes files as one C array of {name, octets}: embed.py OUTPUT ARRAY HEADER ROOT INPUT..."""
import os
import sys

target, array, header, root, *sources = sys.argv[1:]
with open(target, "w", encoding="ascii") as out:
    out.write(f'#include "{header}"\n\n')
    for number, source in enumerate(sources):
        with open(source, "rb") as f:
            data = f.read()
        out.write(f"static const unsigned char file_{number}[] = {{\n")
        for i in range(0, len(data), 20):
            out.write("    " + ",".join(str(b) for b in data[i : i + 20]) + ",\n")
        out.write("    0,\n};\n")
    out.write(f"const struct embedded {array}[] = {{\n")
    for number, source in enumerate(sources):
        name = os.path.relpath(source, root)
        out.write(f'    {{ "{name}", file_{number}, sizeof file_{number} - 1 }},\n')
    out.write(f"    {{ 0 }},\n}};\n")
