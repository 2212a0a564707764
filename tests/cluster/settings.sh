# Sourced by the scripts beside it: versions, places, and which Docker engine is used. Changes nothing on the machine.
KIND_VERSION=v0.33.0 KUBE_VERSION=v1.34.4 HELM_VERSION=v3.19.0
# What is put into the node image where kind's own cannot be pulled.
CONTAINERD_VERSION=v2.3.4 COREDNS_VERSION=v1.12.4 PROVISIONER_VERSION=v0.0.30
# Of Debian: what our engine runs on, what a node needs besides, and what kind's own node image has.
PACKAGES=docker.io,containerd,iptables,runc,ca-certificates,\
jq,busybox-static,containernetworking-plugins,socat,hostname,iputils-ping,\
systemd,dbus,conntrack,nftables,iproute2,ethtool,util-linux,mount,kmod,libseccomp2,pigz,e2fsprogs,curl,procps

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${GROUP0_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/group0}/cluster
BIN=$CACHE/bin NAME=group0

say() { printf '%s %s\n' "$(date +%T)" "$*" >&2; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# CLUSTER=current: whatever KUBECONFIG says. Otherwise kind on the machine's own engine if it answers, else on ours (see engine), with Debian's client.
PATH=$BIN:$PATH
our_socket=unix://$CACHE/engine/docker.sock
if [ "${CLUSTER:-kind}" = current ]; then ENGINE=none; else
  export KUBECONFIG=$CACHE/kubeconfig
  if [ "${DOCKER_HOST:-}" != "$our_socket" ] && docker info >/dev/null 2>&1; then ENGINE=machine; else
    ENGINE=ours
    PATH=$CACHE/debian/usr/bin:$PATH
    export DOCKER_HOST=$our_socket DOCKER_CONFIG=$CACHE/engine/client DOCKER_BUILDKIT=0
  fi
fi
# inside COMMAND…: where the API server is reached.
inside() { "$HERE/engine" run "$@"; }
# One at a time: the script that calls this runs again, alone.
alone() { [ -n "${GROUP0_ALONE:-}" ] || { mkdir -p "$CACHE"; GROUP0_ALONE=1 exec flock --close "$CACHE/lock" "$0" "$@"; }; }
