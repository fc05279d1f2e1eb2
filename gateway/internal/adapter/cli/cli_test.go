package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom.dev/gateway/internal/adapter/cli"
	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource/resourcetest"
	"cloakroom.dev/libs/run"

	"github.com/google/go-cmp/cmp"
)

const (
	config = `
apiVersion: cloakroom.dev/v1alpha1
kind: GatewayConfig
metadata: {name: gateway}
spec:
  trustedProxies: {none: {}}
  headerHygiene: {strip: [X-Tenant]}
`
	tokens = `
apiVersion: cloakroom.dev/v1alpha1
kind: TokenPolicy
metadata: {name: default}
spec: {}
`
	limits = `
apiVersion: cloakroom.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: calls}
spec:
  rules: [{name: user, key: {type: Subject}, limit: 600, window: 1m, burst: 100}]
`
	files = `
apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata: {name: files}
spec:
  rules:
  - name: main
    matches: [{path: {type: PathPrefix, value: /v1/files}}]
    auth: {tokenPolicyRef: {name: default}}
    require: {permissions: ["files:read:self"]}
    rateLimitRefs: [{name: calls}]
    cors: {allowOrigins: ["https://app.example"]}
    backends: [{name: files}]
`
	site = `
apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata: {name: site}
spec:
  rules:
  - matches: [{method: GET}]
    auth: {anonymous: {reason: it is a public page}}
    rewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /pages}}
    backends: [{name: auth}]
`
)

// folder writes documents to a fresh folder, one file each: a.yaml, b.yaml, …
func folder(t *testing.T, documents ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i, d := range documents {
		name := filepath.Join(dir, string(rune('a'+i))+".yaml")
		if err := os.WriteFile(name, []byte(strings.TrimPrefix(d, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// gateway runs a command line and returns exit code, stdout and stderr.
func gateway(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run.Dispatch(context.Background(), "gateway", "", args, run.IO{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs},
		cli.Commands([]string{"/livez"})...)
	return code, out.String(), errs.String()
}

func TestExplain_Decisions(t *testing.T) {
	dir := folder(t, config, tokens, limits, files, site)
	for line, want := range map[string]struct {
		code     int
		decision string
	}{
		"GET /v1/files":                                    {1, "refuse with 401 AUTH_ERROR: the request has no token where TokenPolicy default looks: header Authorization (Bearer), header X-API-Key (API key)"},
		"GET /v1/files -H Authorization:Bearer":            {1, "refuse with 401 AUTH_ERROR: the request has no token where TokenPolicy default looks: header Authorization (Bearer), header X-API-Key (API key)"},
		"get https://h:8443/v1/files/1 -H x-api-key:crk_1": {0, "forward: Route files, rule main"},
		"GET /anything":                                    {0, "forward: Route site, rule 0"},
		"POST /anything":                                   {1, "refuse with 405 METHOD_NOT_ALLOWED: Routes claim this host and path for GET"},
		"GET /a/%2e%2e/b":                                  {1, "refuse with 400 VALIDATION_ERROR: the path has a dot segment"},
		"GET http://h/%zz":                                 {1, "refuse with 400 VALIDATION_ERROR: the path has a damaged percent-escape"},
		"GET http://h/livez":                               {0, "own: the gateway answers this path itself"},
		"OPTIONS /v1/files -H Origin:https://app.example -H Access-Control-Request-Method:GET": {0, "own: the gateway answers a browser's question about GET"},
	} {
		code, out, errs := gateway(append([]string{"explain", "--config", dir}, strings.Fields(line)...)...)
		_, decision, _ := strings.Cut(out, "\ndecision")
		decision, _, _ = strings.Cut(strings.TrimSpace(decision), "\n")
		if code != want.code || decision != want.decision {
			t.Errorf("%s: exit %d, %s %s\nwant %d, %s", line, code, decision, errs, want.code, want.decision)
		}
	}
}

func TestExplain_SaysEverything(t *testing.T) {
	dir := folder(t, config, tokens, limits, files, site)
	t.Chdir(dir)
	code, out, errs := gateway("explain", "GET", "http://files.example/v1/files?x=1", "--config", ".", "--subject", "u1",
		"-H", "Authorization: Bearer abc", "-H", "X_User_Id: root", "-H", "x-tenant: acme")
	want := `request          GET files.example/v1/files
stripped         X-Tenant, which clients may not send
stripped         X_user_id, which clients may not send
match            any method any host paths below /v1/files
rule             Route files, rule main
access           callers with a token of TokenPolicy default
permissions      files:read:self
limits           calls.user 600 in 1m0s, 100 at once, by subject
forward          files
body             at most 1048576 bytes
timeouts         request 30s, response header 30s
cors             https://app.example; GET HEAD POST
upstream path    /v1/files
counted          calls.user as subject:u1, after authentication
from             Route/files generation 1 d.yaml:1
from             RateLimitPolicy/calls generation 1 c.yaml:1
from             TokenPolicy/default generation 1 b.yaml:1
not              Route site, rule 0 (GET any host paths below /): its path is shorter
decision         forward: Route files, rule main
if               calls.user is not used up for subject:u1
if               its token holds by TokenPolicy default and is not revoked
if               its caller has files:read:self
`
	normal := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	if diff := cmp.Diff(normal(want), normal(out)); diff != "" || code != 0 || errs != "" {
		t.Errorf("exit %d %s (-want +got):\n%s", code, errs, diff)
	}

	_, out, _ = gateway("explain", "--output", "json", "GET", "/start", "--config", ".")
	var e cli.Explanation
	if err := json.Unmarshal([]byte(out), &e); err != nil || e.Upstream != "/pages/start" || e.Decision != "forward" {
		t.Errorf("%v %+v", err, e)
	}
}

func TestExplain_WithoutAnAnswerExitsWith2(t *testing.T) {
	dir := folder(t, config)
	for _, args := range [][]string{
		{"GET", "/"},
		{"--config", dir, "GET"},
		{"--config", dir, "GET", "/", "more"},
		{"--config", dir + "/nowhere", "GET", "/"},
		{"--config", t.TempDir(), "GET", "/"},
		{"--config", dir, "GET", "/", "--output", "yaml"},
		{"--config", dir, "GET", "/", "--client", "me"},
		{"--config", dir, "GET", "/", "-H", "nocolon"},
		{"--config", dir, "--unknown", "GET", "/"},
	} {
		if code, out, errs := gateway(append([]string{"explain"}, args...)...); code != 2 || out != "" || errs == "" {
			t.Errorf("%v: exit %d, stdout %q, stderr %q", args, code, out, errs)
		}
	}
	if code, out, _ := gateway("explain", "--help"); code != 0 || !strings.Contains(out, "Exit code") {
		t.Errorf("--help: exit %d, %s", code, out)
	}
}

func TestHandler_ExplainsByTheTableThatServes(t *testing.T) {
	var table *routing.Table
	h := cli.Handler(func() *routing.Table { return table }, nil)
	ask := func(query url.Values) (int, cli.Explanation) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/-/explain?"+query.Encode(), nil))
		var e cli.Explanation
		_ = json.Unmarshal(w.Body.Bytes(), &e)
		return w.Code, e
	}
	if code, _ := ask(url.Values{"url": {"/"}}); code != 503 {
		t.Errorf("without a table: %d", code)
	}
	table, _ = routing.Compile(v1alpha1.GatewayConfigSpec{}, resourcetest.Snapshot(t, tokens, limits, files, site), nil)
	if code, e := ask(url.Values{"url": {"/v1/files"}, "header": {"Authorization: Bearer x"}, "subject": {"u1"}}); code != 200 || e.Decision != "forward" || e.Limits[0].Key != "subject:u1" {
		t.Errorf("%d %+v", code, e)
	}
	for _, query := range []url.Values{{}, {"url": {"/"}, "client": {"x"}}, {"url": {"/"}, "header": {"x"}}} {
		if code, _ := ask(query); code != 400 {
			t.Errorf("%v: %d", query, code)
		}
	}
}

func TestCheck_FindsWhatSchemasCannot(t *testing.T) {
	other := strings.Replace(config, "name: gateway", "name: second", 1)
	bad := strings.Replace(strings.Replace(files, "name: files}", "name: orphan}", 1), "{name: default}", "{name: gone}", 1)
	code, out, _ := gateway("check", folder(t, config, files, bad, other))
	for _, want := range []string{
		`b.yaml:8: Route/files: spec.rules[0].auth.tokenPolicyRef.name: there is no usable TokenPolicy "default"`,
		`c.yaml:8: Route/orphan: spec.rules[0].auth.tokenPolicyRef.name: there is no usable TokenPolicy "gone"`,
		`c.yaml:7: Route/orphan: spec.rules[0].matches[0]: any method any host paths below /v1/files belongs to rule main of Route files`,
		`d.yaml:3: GatewayConfig/second: metadata.name: there is another GatewayConfig`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("missing %s", want)
		}
	}
	if code != 1 {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, out, errs := gateway("check", folder(t, config, tokens, limits, files, site)); code != 0 {
		t.Errorf("a good folder: exit %d %s %s", code, out, errs)
	}
}

func TestDiff_SaysWhatChangesForRequests(t *testing.T) {
	before := folder(t, config, tokens, limits, files, site)
	opened := strings.Replace(files, "auth: {tokenPolicyRef: {name: default}}\n    require: {permissions: [\"files:read:self\"]}", "auth: {anonymous: {reason: somebody was in a hurry}}", 1)
	strict := strings.Replace(limits, "limit: 600", "limit: 6", 1)
	rebound := strings.Replace(config, "X-Tenant", "X-Team", 1)
	extra := strings.NewReplacer("name: site", "name: docs", "{method: GET}", "{path: {type: Exact, value: /help}}", "rewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /pages}}\n    ", "").Replace(site)
	after := folder(t, rebound, tokens, strict, opened, extra)

	code, out, errs := gateway("diff", "--config", before, after)
	want := `~ GatewayConfig/gateway (takes effect at the next start)
    spec.headerHygiene.strip[0]: "X-Tenant" -> "X-Team"
~ RateLimitPolicy/calls
    spec.rules[0].limit: 600 -> 6
+ Route/docs
~ Route/files
    spec.rules[0].auth.anonymous.reason: none -> "somebody was in a hurry"
    spec.rules[0].auth.tokenPolicyRef.name: "default" -> none
    spec.rules[0].require.permissions[0]: "files:read:self" -> none
- Route/site
- GET any host paths below /
    - rule: Route site, rule 0
    - access: everyone: it is a public page
    - forward: auth
    - rewrite: prefix to /pages
    - body: at most 1048576 bytes
    - timeouts: request 30s, response header 30s
+ any method any host path /help
    + rule: Route docs, rule 0
    + access: everyone: it is a public page
    + forward: auth
    + body: at most 1048576 bytes
    + timeouts: request 30s, response header 30s
~ any method any host paths below /v1/files
    - access: callers with a token of TokenPolicy default
    - permissions: files:read:self
    - limits: calls.user 600 in 1m0s, 100 at once, by subject
    + access: everyone: somebody was in a hurry
    + limits: calls.user 6 in 1m0s, 100 at once, by subject
`
	if diff := cmp.Diff(want, out); diff != "" || code != 1 || errs != "" {
		t.Errorf("exit %d %s (-want +got):\n%s", code, errs, diff)
	}
	if code, out, _ := gateway("diff", "--config", before, before); code != 0 || out != "nothing would change\n" {
		t.Errorf("with itself: exit %d %s", code, out)
	}
}

func TestDiff_RefusedChangesServeOn(t *testing.T) {
	before := folder(t, config, tokens, limits, files, site)
	broken := strings.Replace(files, "auth: {tokenPolicyRef: {name: default}}", "auth: {}", 1)
	after := folder(t, config, tokens, limits, broken, site)
	code, out, _ := gateway("diff", "--config", before, after)
	if code != 1 || !strings.HasPrefix(out, "refused: ") || !strings.Contains(out, "exactly one of tokenPolicyRef, anonymous is needed") || strings.Count(out, "\n") != strings.Count(out, "refused: ") {
		t.Errorf("exit %d\n%s", code, out)
	}
	code, out, _ = gateway("diff", "--config", before, after, "--output", "json")
	var d struct{ Refused, Resources, Requests []any }
	if err := json.Unmarshal([]byte(out), &d); err != nil || code != 1 || len(d.Refused) == 0 || d.Requests != nil {
		t.Errorf("exit %d %v\n%s", code, err, out)
	}
	for _, args := range [][]string{{before, after}, {"--config", before}, {"--config", before, before + "/nowhere"}, {"--config", before, t.TempDir()}} {
		if code, _, errs := gateway(append([]string{"diff"}, args...)...); code != 2 || errs == "" {
			t.Errorf("%v: exit %d %s", args, code, errs)
		}
	}
}
