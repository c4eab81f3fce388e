#!/bin/sh
# PostgreSQL, for the half of the accounts' tests that runs on it: installs Debian's if it may. Without it that half is
# left out, which is said here and by every run.
set -eu
if command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    sh tools/step.sh "Fetching PostgreSQL for the tests (20 s)" sh -c "apt-get update -qq && \
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql" && exit 0
fi
echo "== PostgreSQL is not installed: accounts are tested on SQLITE ALONE. As root: apt-get install -y postgresql"
