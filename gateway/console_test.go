package gateway_test

import (
	"regexp"
	"strings"
	"testing"
)

func TestConsole_IsServedByTheGatewayItself(t *testing.T) {
	w := start(t, setup{})
	a := w.get("/console/")
	w.want(a, 200, "")
	if !strings.Contains(a.header.Get("Content-Security-Policy"), "require-trusted-types-for 'script'") {
		t.Errorf("its policy is %q", a.header.Get("Content-Security-Policy"))
	}
	script := regexp.MustCompile(`src="([^"]+)"`).FindStringSubmatch(a.body)
	if script == nil {
		t.Fatalf("no script in %s", a.body)
	}
	w.want(w.get("/console/"+script[1]), 200, "")
	w.want(w.get("/console"), 308, "")
	w.want(w.get("/console/none.js"), 404, "NOT_FOUND")
	w.want(w.do("POST", "/console/", "x"), 405, "METHOD_NOT_ALLOWED")
}

func TestConsole_CanBeSwitchedOff(t *testing.T) {
	w := start(t, setup{boot: "  trustedProxies: {none: {}}\n  console: {enabled: false}\n"})
	w.want(w.get("/console/"), 404, "NOT_FOUND")
	w.want(w.get("/console"), 404, "NOT_FOUND")
}
