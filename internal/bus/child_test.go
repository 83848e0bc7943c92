package bus

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// child is what the test binary does when a test starts it again, to be killed.
func child(what string) int {
	var err error
	switch what {
	case "publish":
		err = publishForever(os.Getenv("CATENA_BUS_DIR"), strings.Fields(os.Getenv("CATENA_BUS_FROM")))
	case "server":
		err = serveNode(strings.Fields(os.Getenv("CATENA_BUS_NODE")))
	default:
		err = fmt.Errorf("no such child: %q", what)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// publishForever opens the queue in dir, and for each number in from publishes a
// series that begins there. It prints each message that was acknowledged.
func publishForever(dir string, from []string) error {
	b, err := Open(context.Background(), Options{Dir: dir})
	if err != nil {
		return err
	}
	failed := make(chan error, len(from))
	for series, start := range from {
		n, err := strconv.Atoi(start)
		if err != nil {
			return err
		}
		go func() {
			for ; ; n++ {
				name := fmt.Sprintf("%d %d", series, n)
				if _, err := b.Publish(context.Background(), "acme", Message{Kind: KindBatch, ID: name, Body: []byte(name)}); err != nil {
					failed <- err
					return
				}
				// One write of one line: it is printed whole or not at all.
				if _, err := os.Stdout.WriteString(name + "\n"); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

// start starts the test binary as child what, with more of an environment.
func start(t *testing.T, what string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), append(env, "CATENA_BUS_CHILD="+what)...)
	cmd.Stderr = t.Output()
	return cmd
}

// kill ends a child at once, as kill -9 does.
func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill() // the error of a process that has ended already
	_ = cmd.Wait()         // tells that it was killed
}

// acknowledged reads what a publishing child prints until it ends, and returns the
// next number of each series.
func acknowledged(t *testing.T, out *bufio.Scanner, next []int, first func()) {
	t.Helper()
	var once sync.Once
	for out.Scan() {
		var series, n int
		if _, err := fmt.Sscanf(out.Text(), "%d %d", &series, &n); err != nil || series >= len(next) || n != next[series] {
			t.Errorf("the child printed %q when %v were next (%v)", out.Text(), next, err)
			return
		}
		next[series]++
		once.Do(first)
	}
}

// rounds is how often a test kills: normal, or what CATENA_BUS_ROUNDS says.
func rounds(t *testing.T, normal int) int {
	t.Helper()
	text := os.Getenv("CATENA_BUS_ROUNDS")
	if text == "" {
		return normal
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("CATENA_BUS_ROUNDS: %v", err)
	}
	return n
}

// serveNode runs a node of a cluster: its name, folder, client port, route port and
// the route ports of all.
func serveNode(args []string) error {
	var ports []int
	for _, a := range args[2:] {
		p, err := strconv.Atoi(a)
		if err != nil {
			return err
		}
		ports = append(ports, p)
	}
	var routes []*url.URL
	for _, p := range ports[2:] {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", p)})
	}
	s, err := server.NewServer(&server.Options{
		ServerName: args[0], StoreDir: args[1], Host: "127.0.0.1", Port: ports[0], NoSigs: true, NoLog: true,
		JetStream: true, SyncAlways: true, MaxPayload: maxFrame + 64<<10, JetStreamMaxStore: 1 << 40, JetStreamMaxMemory: 64 << 20,
		Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[1]}, Routes: routes,
	})
	if err != nil {
		return err
	}
	go s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		return fmt.Errorf("node %s does not start", args[0])
	}
	s.WaitForShutdown()
	return nil
}

// A cluster is three processes on loopback.
type cluster struct {
	t     *testing.T
	dirs  [3]string
	ports [6]int // of clients, then of routes
	nodes [3]*exec.Cmd
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t}
	for i := range c.ports {
		// Held until all are known, else one could be given out twice.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Skipf("no port on loopback to be had: %v", err)
		}
		defer l.Close()
		c.ports[i] = l.Addr().(*net.TCPAddr).Port
		c.dirs[i/2] = t.TempDir()
	}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			if n != nil {
				kill(n)
			}
		}
	})
	return c
}

func (c *cluster) start(i int) {
	c.t.Helper()
	cmd := start(c.t, "server", fmt.Sprintf("CATENA_BUS_NODE=n%d %s %d %d %d %d %d", i, c.dirs[i], c.ports[i], c.ports[3+i], c.ports[3], c.ports[4], c.ports[5]))
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.nodes[i] = cmd
}

func (c *cluster) url() string {
	var urls []string
	for _, p := range c.ports[:3] {
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", p))
	}
	return strings.Join(urls, ",")
}
