#!/usr/bin/env python3
"""Check the order of folders: what each #include "folder/header.h" in src/ may name stands in LAYERS.

A folder includes itself, and folders that its line names, all of which stand above it, so that there
are no cycles. Of another folder it includes only doors: folder/folder.h, and what that folder's line
lists after "doors" ("doors *": everything but what is called internal.h or *_impl.h)."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
PRIVATE = re.compile(r"(internal|_impl)\.h$")


class Layer:
    def __init__(self, name, may, doors):
        self.name, self.may, self.doors = name, may, doors

    def opens(self, header):
        if PRIVATE.search(header):
            return False
        return header == self.name + ".h" or "*" in self.doors or header[:-2] in self.doors


def read_layers(text):
    """The layers in their order, and what is wrong with the file."""
    layers, wrong = {}, []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        name, colon, rest = line.partition(":")
        may, _, doors = rest.partition(" doors ")
        if not colon:
            wrong.append(f"LAYERS:{number}: expected 'folder: folders doors headers'")
            continue
        may = set(layers) if may.split() == ["*"] else set(may.split())
        for other in sorted(may - set(layers)):
            wrong.append(f"LAYERS:{number}: {name} may include only folders above it, not {other}")
        layers[name] = Layer(name, may, doors.split())
    return layers, wrong


def judge(layers, folder, included):
    """Why a file of `folder` may not include this, or None."""
    other, slash, header = included.partition("/")
    if not slash:
        return f'"{included}": name the folder too'
    if other == folder:
        return None
    if other not in layers:
        return f"{included}: LAYERS has no folder {other}"
    if other not in layers[folder].may:
        return f"{included}: {folder} may not include {other}"
    if not layers[other].opens(header):
        return f"{included}: not a door of {other}"
    return None


def check(root):
    layers, wrong = read_layers((root / "LAYERS").read_text())
    for path in sorted((root / "src").rglob("*.[ch]")):
        folder, text = path.relative_to(root / "src").parts[0], path.read_text()
        if folder not in layers:
            wrong.append(f"{path.relative_to(root)}: LAYERS has no folder {folder}")
            continue
        for match in INCLUDE.finditer(text):
            reason = judge(layers, folder, match.group(1))
            if reason:
                line = text.count("\n", 0, match.start(1)) + 1
                wrong.append(f"{path.relative_to(root)}:{line}: {reason}")
    return wrong


if __name__ == "__main__":
    found = check(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
    print("\n".join(found) if found else "layers: every include obeys LAYERS")
    sys.exit(1 if found else 0)
