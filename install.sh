#!/bin/sh
# Builds and installs `finetune`, its completions and its manual pages.
#
#   ./install.sh [--features hub,wgpu] [--root DIR] [--git URL]
#
# Without --git, the source is the folder of this script. With it, no checkout is needed. The program goes to
# DIR/bin (by default where cargo installs), completions and manual pages to DIR/share.
set -eu

usage() {
    sed -n '2,7s/^# \{0,1\}//p' "$0"
    exit "$1"
}

features=""
root="${CARGO_INSTALL_ROOT:-${CARGO_HOME:-$HOME/.cargo}}"
git=""
while [ $# -gt 0 ]; do
    case "$1" in
        --features | --root | --git)
            [ $# -ge 2 ] || { echo "error: $1 needs a value" >&2; exit 2; }
            case "$1" in
                --features) features=$2 ;;
                --root) root=$2 ;;
                --git) git=$2 ;;
            esac
            shift 2
            ;;
        --help | -h) usage 0 ;;
        *) echo "error: unknown argument $1" >&2; usage 2 >&2 ;;
    esac
done

if ! command -v cargo >/dev/null; then
    echo "error: cargo is missing; install Rust 1.95 or later (https://rustup.rs)" >&2
    exit 1
fi

if [ -n "$git" ]; then
    cargo install --git "$git" --locked --root "$root" --features "$features" finetune-cli
else
    here=$(cd "$(dirname "$0")" && pwd)
    cargo install --path "$here/crates/cli" --locked --root "$root" --features "$features"
fi

program="$root/bin/finetune"
share="$root/share"
mkdir -p "$share/bash-completion/completions" "$share/zsh/site-functions" "$share/fish/vendor_completions.d"
"$program" completions bash > "$share/bash-completion/completions/finetune"
"$program" completions zsh > "$share/zsh/site-functions/_finetune"
"$program" completions fish > "$share/fish/vendor_completions.d/finetune.fish"
"$program" man --out "$share/man/man1" >/dev/null
"$program" doctor
