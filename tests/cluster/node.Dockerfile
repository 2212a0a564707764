# The images of a kind node where none can be pulled; node-image builds them. `base` is kind's images/base/Dockerfile with Debian's packages
# instead of downloads. `pods` is every image that runs in the cluster itself, in one.
FROM group0-kind/debian AS base
COPY files/ /
COPY bin/containerd bin/ctr bin/containerd-shim-runc-v2 /usr/local/bin/
RUN set -e; \
    chmod 0755 /usr/local/bin/* /kind/bin/*; \
    find /lib/systemd/system/sysinit.target.wants -name systemd-tmpfiles-setup.service -delete; \
    rm -f /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/*.wants/* /lib/systemd/system/local-fs.target.wants/* \
      /lib/systemd/system/sockets.target.wants/*udev* /lib/systemd/system/sockets.target.wants/*initctl* /lib/systemd/system/basic.target.wants/*; \
    echo ReadKMsg=no >> /etc/systemd/journald.conf; \
    : > /etc/machine-id; \
    ln -sf /usr/lib/systemd/systemd /sbin/init; \
    systemctl enable kubelet.service containerd.service undo-mount-hacks.service; \
    systemctl mask systemd-binfmt.service; \
    mkdir -p /etc/kubernetes/manifests /opt/cni/bin; \
    for plugin in host-local loopback ptp portmap; do cp /usr/lib/cni/$plugin /opt/cni/bin/; done; \
    ln -sf /usr/sbin/runc /usr/local/sbin/runc; \
    ctr oci spec | jq '.hooks.createContainer += [{"path": "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' > /etc/containerd/cri-base.json; \
    # No module has crictl, and kind asks little of it: without an answer it loads an image again.
    printf '#!/bin/sh\n[ "$1" = images ] && exec ctr -n k8s.io images ls\n' > /usr/local/bin/crictl; \
    chmod 0755 /usr/local/bin/crictl; \
    # Without CAP_SYS_RESOURCE no score can go below containerd's own, and no pod would start.
    sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' /etc/containerd/config.toml
ENV container=docker
STOPSIGNAL SIGRTMIN+3
ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]

# The programs that pods need from Debian, with their libraries; `start` is for the three images that are started without a command.
FROM base AS userland
RUN set -e; \
    mkdir -p /out/usr/local/bin /out/bin /out/tmp /out/etc; \
    programs="/usr/sbin/iptables /usr/sbin/ip6tables /usr/sbin/iptables-save /usr/sbin/ip6tables-save /usr/sbin/iptables-restore \
      /usr/sbin/ip6tables-restore /usr/sbin/conntrack /usr/sbin/nft $(echo /usr/lib/*/xtables/*.so)"; \
    tar -ch $programs $(ldd $programs | grep -o '/[^ ]*\.so[^ :]*' | sort -u) 2>/dev/null | tar -x -C /out; \
    cp /bin/busybox /out/bin/; \
    for applet in sh mkdir rm sleep; do ln -s busybox /out/bin/$applet; done; \
    for name in etcd kube-apiserver kube-controller-manager kube-proxy kube-scheduler; do ln -s kube /out/usr/local/bin/$name; done; \
    echo root:x:0:0:root:/root:/bin/sh > /out/etc/passwd; \
    echo hosts: files dns > /out/etc/nsswitch.conf; \
    { echo '#!/bin/sh'; echo '[ "$1" != -conf ] || exec coredns "$@"'; echo '[ -z "$POD_SUBNET" ] || exec kindnetd'; \
      echo 'exec sleep 2147483647'; } > /out/start; \
    chmod 0755 /out/start; chmod 1777 /out/tmp

FROM scratch AS pods
COPY --from=userland /out/ /
COPY bin/kube bin/coredns bin/kindnetd bin/local-path-provisioner /usr/local/bin/
ENV PATH=/usr/local/bin:/usr/sbin:/bin
ENTRYPOINT ["/start"]

FROM scratch AS nothing
COPY node.Dockerfile /
