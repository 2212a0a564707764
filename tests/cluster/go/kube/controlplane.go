package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	api "k8s.io/client-go/tools/clientcmd/api"
)

// How long the API server may take until it is ready; on an idle machine it takes 3 s.
const startLimit = 2 * time.Minute

// controlPlane runs etcd, an API server and, if asked for, a controller manager, all on 127.0.0.1 with free ports and without root, with all
// of their files in one folder. It prints the path of a kubeconfig for an administrator as soon as the API server is ready. It ends at
// SIGTERM and SIGINT, with the first of them that ends, and, if its standard input is a pipe, when that is closed: with whoever started it.
func controlPlane() {
	if err := runControlPlane(); err != nil {
		fmt.Fprintln(os.Stderr, "kube control-plane:", err)
		os.Exit(1)
	}
}

func runControlPlane() error {
	flags := flag.NewFlagSet("control-plane", flag.ExitOnError)
	controllers := flags.Bool("controllers", false, "run kube-controller-manager, too")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: kube control-plane [--controllers] DIR")
		flags.PrintDefaults()
	}
	if err := flags.Parse(os.Args[1:]); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		flags.Usage()
		os.Exit(2)
	}
	dir, err := filepath.Abs(flags.Arg(0))
	if err != nil {
		return err
	}
	c := &plane{dir: dir, token: rand.Text(), ended: make(chan error, 4)}
	defer c.kill()
	// A child dies with the thread that started it, hence with this program however it ends.
	runtime.LockOSThread()
	stop := asked()
	if err := c.start(*controllers); err != nil {
		return err
	}
	select {
	case err := <-c.ended:
		return err
	case <-stop:
		return nil
	case <-c.ready():
	}
	if err := c.write(); err != nil {
		return err
	}
	if *controllers {
		if err := c.controllers(); err != nil {
			return err
		}
	}
	fmt.Println(c.path("kubeconfig"))
	select {
	case err := <-c.ended:
		return err
	case <-stop:
		return nil
	}
}

// plane is a control plane that runs.
type plane struct {
	dir, token, server string
	children           []*exec.Cmd
	running            sync.WaitGroup
	ended              chan error
}

func (c *plane) path(name string) string { return filepath.Join(c.dir, name) }

func (c *plane) start(controllers bool) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	client, peer := "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
	c.server = "https://127.0.0.1:" + ports[2]
	if err := c.run("etcd", "--data-dir", c.path("etcd"), "--unsafe-no-fsync", "--log-level", "warn",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer); err != nil {
		return err
	}
	if err := c.secrets(); err != nil {
		return err
	}
	arguments := []string{
		"--etcd-servers", client, "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--external-hostname", "127.0.0.1",
		"--secure-port", ports[2], "--cert-dir", c.dir, "--endpoint-reconciler-type", "none", "--service-cluster-ip-range", "10.96.0.0/16",
		"--authorization-mode", "RBAC", "--token-auth-file", c.path("tokens"), "--allow-privileged",
		"--service-account-issuer", c.server, "--service-account-key-file", c.path("account.key"),
		"--service-account-signing-key-file", c.path("account.key"),
	}
	if !controllers {
		// Nobody makes the account that each pod of a namespace has by default.
		arguments = append(arguments, "--disable-admission-plugins", "ServiceAccount")
	}
	return c.run("kube-apiserver", arguments...)
}

func (c *plane) controllers() error {
	kubeconfig := c.path("kubeconfig")
	return c.run("kube-controller-manager", "--kubeconfig", kubeconfig, "--leader-elect=false", "--secure-port", "0",
		"--service-account-private-key-file", c.path("account.key"), "--root-ca-file", c.path("apiserver.crt"))
}

// secrets writes the administrator's token and the key that signs those of service accounts.
func (c *plane) secrets() error {
	if err := os.WriteFile(c.path("tokens"), []byte(c.token+",admin,admin,system:masters\n"), 0o600); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(c.path("account.key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}

// run starts this program under another name; what it says is in a file of that name.
func (c *plane) run(name string, arguments ...string) error {
	log, err := os.Create(c.path(name + ".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	child := exec.Command("/proc/self/exe", arguments...)
	child.Args[0] = name
	child.Stdout, child.Stderr = log, log
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := child.Start(); err != nil {
		return err
	}
	c.children = append(c.children, child)
	c.running.Add(1)
	go func() {
		err := child.Wait()
		c.running.Done()
		c.ended <- fmt.Errorf("%s ended (%v): see %s", name, err, log.Name())
	}()
	return nil
}

func (c *plane) kill() {
	for _, child := range c.children {
		_ = child.Process.Kill()
	}
	// Then their files can be removed.
	c.running.Wait()
}

// ready is closed once the API server says that it is.
func (c *plane) ready() <-chan struct{} {
	done := make(chan struct{})
	// Only readiness is asked for; clients check the certificate.
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	go func() {
		for end := time.Now().Add(startLimit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			response, err := client.Get(c.server + "/readyz")
			if err != nil {
				continue
			}
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				close(done)
				return
			}
		}
		c.ended <- fmt.Errorf("the API server is not ready after %s: see %s", startLimit, c.path("kube-apiserver.log"))
	}()
	return done
}

func (c *plane) write() error {
	certificate, err := os.ReadFile(c.path("apiserver.crt"))
	if err != nil {
		return err
	}
	config := api.NewConfig()
	config.Clusters["default"] = &api.Cluster{Server: c.server, CertificateAuthorityData: certificate}
	config.AuthInfos["admin"] = &api.AuthInfo{Token: c.token}
	config.Contexts["default"] = &api.Context{Cluster: "default", AuthInfo: "admin"}
	config.CurrentContext = "default"
	return clientcmd.WriteToFile(*config, c.path("kubeconfig"))
}

func freePorts(count int) ([]string, error) {
	var ports []string
	for range count {
		listener, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		// Held until all are found, so that they differ.
		defer listener.Close()
		address := listener.Addr().String()
		ports = append(ports, address[strings.LastIndex(address, ":")+1:])
	}
	return ports, nil
}

// asked is closed when this program is to end.
func asked() <-chan struct{} {
	done := make(chan struct{})
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	closed := make(chan struct{})
	if in, err := os.Stdin.Stat(); err == nil && in.Mode()&os.ModeNamedPipe != 0 {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			close(closed)
		}()
	}
	go func() {
		select {
		case <-signals:
		case <-closed:
		}
		close(done)
	}()
	return done
}
