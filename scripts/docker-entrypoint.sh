#!/bin/sh
# Starts a service in its container: with the keys that its environment lacks or has empty (docker-init.mjs made them), and, where it is
# root for development only, as the user who owns the sources.
set -eu

keys=/run/codelab/keys
if [ -r "$keys" ]; then
  while IFS= read -r line; do
    eval "given=\${${line%%=*}:-}"
    [ -n "$given" ] || export "$line"
  done <"$keys"
fi

if [ -n "${RUN_AS_OWNER_OF:-}" ] && [ "$(id -u)" = 0 ]; then
  uid=$(stat -c %u "$RUN_AS_OWNER_OF")
  gid=$(stat -c %g "$RUN_AS_OWNER_OF")
  [ "$uid" = 0 ] || exec setpriv --reuid="$uid" --regid="$gid" --clear-groups "$@"
fi
exec "$@"
