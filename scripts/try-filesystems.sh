#!/bin/sh
# Runs the tests of the lock manager on every kind of filesystem that this machine can mount, each in a mount namespace of its own. As root, on Debian.
# Prints a line for each. What was seen is written down in docs/filesystems.md.
set -u
cd "$(dirname "$0")/.."
if [ "${1:-}" != inside ]; then
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends xfsprogs btrfs-progs bindfs >/dev/null
  exec unshare --mount --propagation private sh "$0" inside
fi

scratch=$(mktemp -d)
try() {
  name=$1
  folder=$2
  if TMPDIR=$folder timeout 300 npx vitest run --project unit src/lock src/store >"$scratch/$name.log" 2>&1; then
    echo "$name: passed"
  elif grep -q "File locks don't work in" "$scratch/$name.log"; then
    echo "$name: refused: $(sed -n "s/.*File locks don't work in [^:]*: //p" "$scratch/$name.log" | head -1 | sed 's/\x1b\[[0-9;]*m//g')"
  else
    echo "$name: FAILED, see $scratch/$name.log"
  fi
}

mkdir "$scratch/here" && try "$(df --output=fstype "$scratch" | tail -1)" "$scratch/here"
mkdir "$scratch/tmpfs" && mount -t tmpfs none "$scratch/tmpfs" && try tmpfs "$scratch/tmpfs"
mkdir "$scratch/lower" "$scratch/upper" "$scratch/work" "$scratch/overlay" &&
  mount -t overlay overlay -o "lowerdir=$scratch/lower,upperdir=$scratch/upper,workdir=$scratch/work" "$scratch/overlay" && try overlayfs "$scratch/overlay"
for kind in xfs btrfs; do
  truncate -s 400M "$scratch/$kind.img" && "mkfs.$kind" -q "$scratch/$kind.img" >/dev/null 2>&1 && mkdir "$scratch/$kind" &&
    mount -o loop "$scratch/$kind.img" "$scratch/$kind" && try "$kind" "$scratch/$kind"
done
mkdir "$scratch/source" "$scratch/fuse" "$scratch/fuse-forwarding"
bindfs "$scratch/source" "$scratch/fuse" && try fuse "$scratch/fuse"
bindfs --enable-lock-forwarding --multithreaded "$scratch/source" "$scratch/fuse-forwarding" && try fuse-forwarding "$scratch/fuse-forwarding"
grep -qw nfs4 /proc/filesystems || echo "nfs4: not tried, this kernel has no NFS client"
