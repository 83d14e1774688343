#!/usr/bin/env bash
# Runs a command as on a machine where nothing was installed or built before: HOME is empty, and with it what cargo, pip,
# npm, git and dbt keep there. Only the toolchain and the settings of the package registries come along.
#   scripts/bare.sh COMMAND [ARGUMENT …]
# HOME is target/bare, emptied at the start. A fixed path, because cargo rebuilds every crate whose source path changes.
set -euo pipefail

home=$(cd "$(dirname "$0")/.." && pwd)/target/bare
rm -rf "$home"
mkdir -p "$home/.cargo"

copy() { # FROM TO: a file of settings, if there is one
  if [[ -f $1 ]]; then
    mkdir -p "$(dirname "$home/$2")"
    cp "$1" "$home/$2"
  fi
}
copy "${CARGO_HOME:-$HOME/.cargo}/config.toml" .cargo/config.toml
copy "${XDG_CONFIG_HOME:-$HOME/.config}/pip/pip.conf" .config/pip/pip.conf
copy "$HOME/.pip/pip.conf" .pip/pip.conf
copy "$HOME/.npmrc" .npmrc

# A cache is no setting: those of pip and npm are empty, too. The variables are unset here and not given to `env -i`,
# because a registry's setting may hold a password, and arguments are for all to see.
RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
for name in $(compgen -e); do
  case $name in
    PIP_CACHE_DIR | npm_config_cache) unset "$name" ;;
    PATH | HOME | RUSTUP_* | PIP_* | npm_config_* | CARGO_HTTP_* | CARGO_NET_* | CARGO_REGISTR* | CARGO_SOURCE_* | \
      HTTP_PROXY | HTTPS_PROXY | ALL_PROXY | NO_PROXY | http_proxy | https_proxy | all_proxy | no_proxy | \
      SSL_CERT_* | *_CA_BUNDLE | NODE_EXTRA_CA_CERTS) ;;
    # Of bash's own, some cannot be unset.
    *) unset "$name" 2>/dev/null || true ;;
  esac
done
export HOME=$home RUSTUP_HOME
exec "$@"
