#!/bin/sh
# Writes the expected messages of tests/ui anew, and their list, docs/diagnostics.md. Read the difference like prose before you commit it.
set -eu
cd "$(dirname "$0")/.."

want=1.95.0
have=$(rustc --version | cut -d' ' -f2)
if [ "$have" != "$want" ]; then
    echo "the messages are those of rustc $want, this is $have" >&2
    exit 1
fi

TRYBUILD=overwrite cargo test --test ui wrong_models_are_explained
BLESS=1 cargo test -p neuralode-macros --test diagnostics
git --no-pager diff --stat -- tests/ui docs/diagnostics.md
