#!/usr/bin/env bash
# Feeds the Rust packet path with libFuzzer and address sanitizer: packet_path.sh SECONDS for each target.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../bridge/media/native/fuzz"

if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    echo "Skipped: it needs a nightly Rust and cargo-fuzz (rustup toolchain install nightly; cargo install cargo-fuzz)" >&2
    exit 0
fi
for target in $(cargo +nightly fuzz list); do
    echo "==> The packet path: $target"
    mkdir -p "corpus/$target"
    cargo +nightly fuzz run "$target" "corpus/$target" "seeds/$target" -- \
        -max_total_time="$1" -max_len=4096 -print_final_stats=1 -verbosity=0
done
