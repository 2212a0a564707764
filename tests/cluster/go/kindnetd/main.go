// Command kindnetd stands in for kind's network of that name, whose source no module has. On each node it tells the container runtime the range of
// addresses that Kubernetes gave to the node's pods, routes the ranges of the other nodes to them, and lets pods reach what is outside of the
// cluster under the address of their node. It enforces no NetworkPolicy.
package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/vishvananda/netlink"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	// Where the runtime looks for its network; a pod starts once something is there.
	networkFile = "/etc/cni/net.d/10-kindnet.conflist"
	// The chain of our rules: they are made once, and together.
	chain = "GROUP0-POD-EGRESS"
	// Nodes are few and seldom change.
	period = 2 * time.Second
)

const network = `{"cniVersion": "0.3.1", "name": "kindnet", "plugins": [
  {"type": "ptp", "ipMasq": false, "mtu": 1500,
   "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam-state", "routes": [{"dst": "0.0.0.0/0"}], "ranges": [[{"subnet": %q}]]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
`

func main() {
	config, err := rest.InClusterConfig()
	if err != nil {
		log.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		log.Fatal(err)
	}
	for ; ; time.Sleep(period) {
		if err := connect(client, os.Getenv("HOST_IP"), os.Getenv("POD_SUBNET")); err != nil {
			log.Print(err)
		}
	}
}

// connect brings this node, whose address is host, to where the list of nodes says that it should be.
func connect(client kubernetes.Interface, host, pods string) error {
	nodes, err := client.CoreV1().Nodes().List(context.Background(), meta.ListOptions{})
	if err != nil {
		return err
	}
	for _, node := range nodes.Items {
		address := internalAddress(node.Status.Addresses)
		switch {
		case address == "" || node.Spec.PodCIDR == "":
			// Not registered in full yet.
		case address == host:
			err = configure(node.Spec.PodCIDR)
		default:
			err = route(node.Spec.PodCIDR, address)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", node.Name, err)
		}
	}
	return masquerade(pods)
}

func internalAddress(addresses []core.NodeAddress) string {
	for _, address := range addresses {
		if address.Type == core.NodeInternalIP {
			return address.Address
		}
	}
	return ""
}

// configure writes the runtime's configuration, whole or not at all.
func configure(pods string) error {
	wanted := fmt.Appendf(nil, network, pods)
	if present, err := os.ReadFile(networkFile); err == nil && bytes.Equal(present, wanted) {
		return nil
	}
	if err := os.WriteFile(networkFile+".new", wanted, 0o644); err != nil {
		return err
	}
	return os.Rename(networkFile+".new", networkFile)
}

func route(pods, node string) error {
	_, destination, err := net.ParseCIDR(pods)
	if err != nil {
		return err
	}
	return netlink.RouteReplace(&netlink.Route{Dst: destination, Gw: net.ParseIP(node)})
}

// masquerade makes the rules unless they are there; the one that leads to them comes last.
func masquerade(pods string) error {
	lead := []string{"POSTROUTING", "-s", pods, "-m", "addrtype", "!", "--dst-type", "LOCAL", "-j", chain}
	if pods == "" || nat("-C", lead...) == nil {
		return nil
	}
	// It may be there from a try that failed half way.
	_ = nat("-N", chain)
	if err := nat("-F", chain); err != nil {
		return err
	}
	if err := nat("-A", chain, "-d", pods, "-j", "RETURN"); err != nil {
		return err
	}
	if err := nat("-A", chain, "-j", "MASQUERADE"); err != nil {
		return err
	}
	return nat("-A", lead...)
}

func nat(action string, rule ...string) error {
	output, err := exec.Command("iptables", append([]string{"-w", "-t", "nat", action}, rule...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("iptables %s %v: %w: %s", action, rule, err, bytes.TrimSpace(output))
	}
	return nil
}
