#!/usr/bin/env bash
# Fuzzes each target for so many seconds: `media/fuzz/run.sh 60 [target…]`. It needs no nightly compiler: cargo-fuzz's
# instrumentation is asked for by hand, without the address sanitizer, which code without `unsafe` can do without.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(rtp journal chunk vp8 vp9 h264 av1 opus munge)

export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=../../target/fuzz
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
triple=$(rustc -vV | sed -n 's/^host: //p')
cargo build --release --bins --target "$triple"
for target in "${targets[@]}"; do
    mkdir -p "corpus/$target" artifacts
    echo "== $target"
    "$CARGO_TARGET_DIR/$triple/release/$target" -max_total_time="$seconds" -max_len=4096 -timeout=5 -rss_limit_mb=1024 \
        -artifact_prefix="artifacts/$target-" -print_final_stats=1 "corpus/$target" 2>&1 | grep -vE '^#|NEW_FUNC|INFO' || exit 1
done
