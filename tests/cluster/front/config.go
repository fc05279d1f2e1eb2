package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// slots is how many pods of a Service HAProxy has room for without a reload.
const slots = 8

// The states of a server, in HAProxy's words.
const (
	ready  = "ready"
	leaves = "drain" // it keeps what it has and gets nothing new
	absent = "maint"
)

// server is one slot.
type server struct{ address, state string }

// route is a rule of an Ingress.
type route struct{ host, path, backend string }

// wanted is what HAProxy is to serve.
type wanted struct {
	routes       []route
	certificates map[string][]byte
	pods         map[string]map[string]string // backend -> address -> state
	slots        map[string][]server          // backend -> slots; filled by keepSlots
}

// wanted reads the world: what the Ingresses of a class ask for.
func (w world) wanted(class string) wanted {
	out := wanted{certificates: map[string][]byte{}, pods: map[string]map[string]string{}}
	for _, i := range w.ingresses {
		if i.Spec.IngressClassName != class {
			continue
		}
		for _, rule := range i.Spec.Rules {
			for _, path := range rule.HTTP.Paths {
				service := path.Backend.Service
				backend := service.Name + "." + service.Port.Name
				out.routes = append(out.routes, route{rule.Host, path.Path, backend})
				out.pods[backend] = w.podsOf(service.Name, service.Port.Name)
			}
		}
		for _, use := range i.Spec.TLS {
			for _, s := range w.secrets {
				if s.Metadata.Name == use.SecretName {
					out.certificates[s.Metadata.Name] = append(append(append([]byte{}, s.Data["tls.crt"]...), '\n'), s.Data["tls.key"]...)
				}
			}
		}
	}
	slices.SortFunc(out.routes, func(a, b route) int { return len(b.path) - len(a.path) }) // the longest path first
	return out
}

// podsOf are the addresses behind a Service's port, by their state. One that is not ready and doesn't serve any more is not among them.
func (w world) podsOf(service, port string) map[string]string {
	pods := map[string]string{}
	for _, slice := range w.slices {
		if slice.Metadata.Labels["kubernetes.io/service-name"] != service {
			continue
		}
		for _, p := range slice.Ports {
			for _, e := range slice.Endpoints {
				if p.Name != port || len(e.Addresses) == 0 {
					continue
				}
				at := net.JoinHostPort(e.Addresses[0], strconv.Itoa(p.Port))
				switch {
				case e.Conditions.Ready:
					pods[at] = ready
				case e.Conditions.Serving && e.Conditions.Terminating && pods[at] == "":
					pods[at] = leaves
				}
			}
		}
	}
	return pods
}

// keepSlots gives every pod the slot it has already, and a new one a slot that is free.
func (w *wanted) keepSlots(last wanted) {
	w.slots = map[string][]server{}
	for backend, pods := range w.pods {
		all := make([]server, slots)
		copy(all, last.slots[backend])
		placed := map[string]bool{}
		for i := range all {
			state, there := pods[all[i].address]
			if !there {
				state = absent
			}
			all[i].state, placed[all[i].address] = state, there
		}
		for _, address := range slices.Sorted(maps.Keys(pods)) {
			free := slices.IndexFunc(all, func(s server) bool { return s.state == absent })
			if !placed[address] && free >= 0 {
				all[free] = server{address, pods[address]}
			}
		}
		w.slots[backend] = all
	}
}

// frame is what can't change without a reload.
func (w wanted) frame() string {
	text := fmt.Sprint(w.routes)
	for _, name := range slices.Sorted(maps.Keys(w.certificates)) {
		text += name + string(w.certificates[name])
	}
	return text
}

// changes are the commands that make a running HAProxy serve these pods after those.
func (w wanted) changes(last wanted) (commands []string) {
	for _, backend := range slices.Sorted(maps.Keys(w.slots)) {
		for i, now := range w.slots[backend] {
			before := last.slots[backend][i]
			if now == before {
				continue
			}
			name := fmt.Sprintf("%s/s%d", backend, i)
			if now.address != before.address {
				host, port, _ := net.SplitHostPort(now.address)
				commands = append(commands, fmt.Sprintf("set server %s addr %s port %s", name, host, port))
			}
			commands = append(commands, fmt.Sprintf("set server %s state %s", name, now.state))
		}
	}
	return commands
}

// config is HAProxy's file.
func (w wanted) config(folder string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, frameText, folder, folder)
	for _, r := range w.routes {
		fmt.Fprintf(&b, "  use_backend %s if { req.hdr(host),field(1,:) -i %s } { path_beg %s }\n", r.backend, r.host, r.path)
	}
	for _, backend := range slices.Sorted(maps.Keys(w.slots)) {
		fmt.Fprintf(&b, "\nbackend %s\n", backend)
		for i, s := range w.slots[backend] {
			address, state := s.address, ""
			if s.state != ready {
				state = " disabled"
			}
			if address == "" {
				address = "127.0.0.1:1"
			}
			fmt.Fprintf(&b, "  server s%d %s%s\n", i, address, state)
		}
	}
	return b.String()
}

const frameText = `global
  stats socket %s/admin.sock mode 600 level admin
  log stdout format raw local0 notice
  maxconn 4000
  ssl-default-bind-options ssl-min-ver TLSv1.2

defaults
  mode http
  log global
  option httplog
  option dontlog-normal
  balance roundrobin
  timeout connect 2s
  timeout http-request 10s
  timeout http-keep-alive 75s
  # Without a byte for so long; uploads and downloads themselves take as long as they take.
  timeout client 5m
  timeout server 5m
  timeout tunnel 1h
  # Only what no pod was connected for goes to another one.
  retries 3
  option redispatch 1
  retry-on conn-failure

frontend https
  bind :8443 ssl crt %s/certificates/ alpn h2,http/1.1
  http-request del-header Forwarded
  http-request set-header X-Forwarded-For %%[src]
  http-request set-header X-Forwarded-Proto https
  http-request set-header X-Forwarded-Host %%[req.hdr(host)]
`

// tell says a command on HAProxy's socket. It answers with nothing, or with what it did; what it can't do begins otherwise.
func tell(socket, command string) error {
	answer, err := askProxy(socket, command)
	said := strings.TrimSpace(answer)
	if err == nil && said != "" && !strings.Contains(said, "changed from") && !strings.Contains(said, "no need to change") {
		err = fmt.Errorf("HAProxy to %q: %s", command, said)
	}
	return err
}

func askProxy(socket, command string) (string, error) {
	conn, err := net.DialTimeout("unix", socket, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintln(conn, command); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}
