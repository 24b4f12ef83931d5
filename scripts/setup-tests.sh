#!/bin/sh
# Installs what the tests use beside Node: shells for the completions, unshare and mount for bad-disk tests, ip for networks of their own, script(1) for a terminal,
# faketime for clocks that are an hour off, Chromium for pages, Ceph as an S3 server (scripts/ceph.mjs).
set -eu
missing=""
for program in zsh:zsh fish:fish unshare:util-linux mount:mount script:bsdutils ip:iproute2 prlimit:util-linux faketime:faketime \
  chromium:chromium ceph-mon:ceph-mon ceph-osd:ceph-osd radosgw:radosgw; do
  command -v "${program%%:*}" >/dev/null 2>&1 || missing="$missing ${program##*:}"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "The tests need:$missing. Install them and run the tests again." >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || echo "apt-get update failed; trying what is known" >&2
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
