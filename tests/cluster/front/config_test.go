package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// worldOf is what a cluster would say of one release whose gateway has these endpoints.
func worldOf(t *testing.T, endpoints string) world {
	t.Helper()
	var w world
	read := func(text string, into any) {
		t.Helper()
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	read(`[{"spec": {"ingressClassName": "front", "tls": [{"secretName": "tls"}], "rules": [{"host": "a.test", "http": {"paths": [
		{"path": "/", "backend": {"service": {"name": "gateway", "port": {"name": "http"}}}}]}}]}},
		{"spec": {"ingressClassName": "another's", "rules": [{"host": "b.test", "http": {"paths": [{"path": "/"}]}}]}}]`, &w.ingresses)
	read(`[{"metadata": {"name": "tls"}, "data": {"tls.crt": "Yw==", "tls.key": "aw=="}}, {"metadata": {"name": "another"}}]`, &w.secrets)
	read(`[{"metadata": {"labels": {"kubernetes.io/service-name": "gateway"}}, "ports": [{"name": "http", "port": 8080}], "endpoints": `+endpoints+`},
		{"metadata": {"labels": {"kubernetes.io/service-name": "another"}}, "ports": [{"name": "http", "port": 1}], "endpoints": [{"addresses": ["10.0.0.9"], "conditions": {"ready": true}}]}]`, &w.slices)
	return w
}

// after is what is wanted of a world, in the slots that were given before.
func after(t *testing.T, last wanted, endpoints string) wanted {
	t.Helper()
	next := worldOf(t, endpoints).wanted("front")
	next.keepSlots(last)
	return next
}

const (
	one     = `{"addresses": ["10.0.0.1"], "conditions": {"ready": true, "serving": true}}`
	two     = `{"addresses": ["10.0.0.2"], "conditions": {"ready": true, "serving": true}}`
	oneGoes = `{"addresses": ["10.0.0.1"], "conditions": {"ready": false, "serving": true, "terminating": true}}`
	oneLost = `{"addresses": ["10.0.0.1"], "conditions": {"ready": false, "serving": false}}`
)

// A pod that leaves keeps what it has and its slot, another one gets a slot that is free, and nothing of that is a reload.
func TestPodsComeAndGo_WithoutAReload(t *testing.T) {
	first := after(t, wanted{}, `[`+one+`]`)
	for _, s := range []struct {
		what, endpoints string
		want            []string
	}{
		{"nothing happens", `[` + one + `]`, nil},
		{"another one comes", `[` + two + `,` + one + `]`, []string{"set server gateway.http/s1 addr 10.0.0.2 port 8080", "set server gateway.http/s1 state ready"}},
		{"the first one leaves", `[` + oneGoes + `]`, []string{"set server gateway.http/s0 state drain"}},
		{"the first one is lost", `[` + oneLost + `]`, []string{"set server gateway.http/s0 state maint"}},
		{"all are gone", `[]`, []string{"set server gateway.http/s0 state maint"}},
	} {
		next := after(t, first, s.endpoints)
		if got := next.changes(first); !reflect.DeepEqual(got, s.want) {
			t.Errorf("%s: %q, want %q", s.what, got, s.want)
		}
		if next.frame() != first.frame() {
			t.Errorf("%s: HAProxy would read its file again", s.what)
		}
	}
	gone := after(t, first, `[]`)
	if got := after(t, gone, `[`+two+`]`).changes(gone); len(got) != 2 || !strings.Contains(got[0], "/s0 addr 10.0.0.2") {
		t.Errorf("a slot that is free again is used as %q", got)
	}
}

// What the file says: our own Ingress and no other, and nothing that a client says of itself.
func TestConfig_SaysWhatIsServed(t *testing.T) {
	w := after(t, wanted{}, `[`+one+`,`+oneGoes+`,`+two+`]`)
	text := w.config("/x")
	for _, line := range []string{
		"use_backend gateway.http if { req.hdr(host),field(1,:) -i a.test } { path_beg / }\n",
		"server s0 10.0.0.1:8080\n", "server s1 10.0.0.2:8080\n", "server s2 127.0.0.1:1 disabled\n",
		"set-header X-Forwarded-For %[src]\n", "ssl crt /x/certificates/ ",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("%q is missing in\n%s", line, text)
		}
	}
	if strings.Contains(text, "b.test") || strings.Contains(text, "10.0.0.9") {
		t.Errorf("it serves what is another's:\n%s", text)
	}
	if got := string(w.certificates["tls"]); got != "c\nk" || len(w.certificates) != 1 {
		t.Errorf("certificates are %q", w.certificates)
	}
}
