package replicas

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// lines are the connections between parts: one proxy for each pair and port, on the address of this machine in the network.
type lines struct {
	host   string
	server *toxiproxy.ApiServer
	mu     sync.Mutex
	all    []*line
}

// line goes from one part to a port of another.
type line struct {
	from, to string
	proxy    *toxiproxy.Proxy
}

func newLines(host string) *lines {
	metrics := toxiproxy.NewMetricsContainer(prometheus.NewRegistry())
	return &lines{host: host, server: toxiproxy.NewServer(metrics, zerolog.Nop())}
}

// add makes a line and returns where its near end listens.
func (l *lines) add(t testing.TB, from, to, address string) string {
	t.Helper()
	name := from + ">" + to + ">" + address
	p := toxiproxy.NewProxy(l.server, name, l.host+":0", address)
	if err := p.Start(); err != nil {
		t.Fatalf("the line %s: %v", name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, &line{from, to, p})
	return p.Listen
}

// of are the lines that a part is at either end of, or only those that one part has to another.
func (l *lines) of(from, to string) (found []*line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.all {
		if (from == "" || one.from == from) && (to == "" || one.to == to) {
			found = append(found, one)
		}
	}
	return found
}

// cut ends the connections with a reset or an end, and refuses new ones.
func cut(t testing.TB, some []*line) (mend func()) {
	t.Helper()
	for _, l := range some {
		l.proxy.Stop()
	}
	return func() {
		for _, l := range some {
			if err := l.proxy.Start(); err != nil {
				t.Errorf("mend %s>%s: %v", l.from, l.to, err)
			}
		}
	}
}

// toxin is what a line does to what goes over it.
type toxin struct{ kind, attributes string }

var (
	silent = toxin{"timeout", `{"timeout": 0}`} // connections open and nothing comes through, either way
	slow   = toxin{"latency", `{"latency": 150, "jitter": 100}`}
	resets = toxin{"reset_peer", `{"timeout": 0}`} // every connection is reset as soon as it is used
)

var toxins int

// poison lets a toxin into lines, upstream and downstream.
func poison(t testing.TB, some []*line, what toxin) (heal func()) {
	t.Helper()
	toxins++
	name := "t" + strconv.Itoa(toxins)
	for _, l := range some {
		for _, stream := range []string{"upstream", "downstream"} {
			body := fmt.Sprintf(`{"name": %q, "type": %q, "stream": %q, "attributes": %s}`, name+stream, what.kind, stream, what.attributes)
			if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(body)); err != nil {
				t.Fatalf("poison %s>%s: %v", l.from, l.to, err)
			}
		}
	}
	return func() {
		for _, l := range some {
			for _, stream := range []string{"upstream", "downstream"} {
				if err := l.proxy.Toxics.RemoveToxic(context.Background(), name+stream); err != nil {
					t.Errorf("heal %s>%s: %v", l.from, l.to, err)
				}
			}
		}
	}
}

func (l *lines) close() {
	for _, one := range l.of("", "") {
		one.proxy.Stop()
	}
}
