package routing_test

import (
	"strings"
	"testing"
	"time"

	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/resource"

	"github.com/google/go-cmp/cmp"
)

// without makes a rule that leaves its decision on authentication out.
func without(*v1alpha1.RouteRule) {}

func both(r *v1alpha1.RouteRule) { open(r); policy("tp")(r) }

func change(f func(*v1alpha1.RouteRule)) ruleOption { return f }

func TestCompile_RefusesWhatTheSchemaCannotSee(t *testing.T) {
	setHeader := func(name v1alpha1.HeaderName) ruleOption {
		return func(r *v1alpha1.RouteRule) {
			r.Headers = &v1alpha1.RouteHeaders{Request: &v1alpha1.HeaderChanges{Set: []v1alpha1.Header{{Name: name, Value: "1"}}}}
		}
	}
	for name, c := range map[string]struct {
		rule routeOption
		want string
	}{
		"no auth":           {rule("/*", without), "spec.rules[0].auth: exactly one of"},
		"two auths":         {rule("/*", both), "spec.rules[0].auth: exactly one of"},
		"open, no reason":   {rule("/*", change(func(r *v1alpha1.RouteRule) { r.Auth.Anonymous = &v1alpha1.Anonymous{} })), "auth.anonymous.reason"},
		"open and require":  {rule("/*", open, require("files:read:self")), "spec.rules[0].require: needs auth.tokenPolicyRef"},
		"permission":        {rule("/*", policy("tp"), require("files:read:mine")), `"files:read:mine" is not`},
		"path pattern":      {rule("~a)(b", open), "spec.rules[0].matches[0].path.value: not a regular expression"},
		"header pattern":    {rule("/a h:x-a~(", open), "matches[0].headers[0].value: not a regular expression"},
		"query pattern":     {rule("/a or /b q:a~[", open), "matches[1].queryParams[0].value: not a regular expression"},
		"host header":       {rule("/a h:host=x", open), "matched by spec.hostnames"},
		"dots in a path":    {rule("/a/../b", open), "not a path a request can have"},
		"escape in a path":  {rule("/a%2fb/*", open), "not a path a request can have"},
		"no backend":        {rule("/*", open, change(func(r *v1alpha1.RouteRule) { r.Backends[0].Weight = 0 })), "backends: at least one needs a weight"},
		"identity":          {rule("/*", open, setHeader("X_User_Id")), "X_user_id says who the caller is"},
		"forwarding":        {rule("/*", open, setHeader("x_forwarded_for")), "can't be set"},
		"rewrite target":    {rule("/a/*", open, change(func(r *v1alpha1.RouteRule) { r.Rewrite = replace("/b/..") })), "not a path a request can have"},
		"rewrite of an end": {rule("/a", open, change(func(r *v1alpha1.RouteRule) { r.Rewrite = replace("/b") })), "ReplacePrefixMatch needs"},
		"open to all pages": {rule("/*", open, change(func(r *v1alpha1.RouteRule) {
			r.CORS = &v1alpha1.CORS{AllowOrigins: []v1alpha1.CORSOrigin{"*"}, AllowCredentials: true}
		})), "cors: allowCredentials"},
		"no rules": {func(*v1alpha1.Route) {}, "no rule matches anything"},
	} {
		t.Run(name, func(t *testing.T) {
			table, statuses := routing.Compile(boot, snapshot(
				tokenPolicy("tp"), route("bad", host("bad.example"), c.rule), route("good", rule("/*", open))), nil)
			got := status(t, statuses, "bad")
			if !strings.HasPrefix(got, "False Invalid: ") || !strings.Contains(got, c.want) || !strings.HasSuffix(got, "what it claims answers 503") {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
			check(t, table, gets("GET http://good.example/a", "good/0"))
			for _, r := range table.Rules() {
				if r.Route == "bad" && r.Refused == "" {
					t.Error("the bad route is served")
				}
			}
		})
	}
}

func replace(to string) *v1alpha1.Rewrite {
	return &v1alpha1.Rewrite{Path: &v1alpha1.PathRewrite{Type: v1alpha1.ReplacePrefixMatch, ReplacePrefixMatch: to}}
}

func TestCompile_MissingReferenceAnswers503AndHarmsNoOther(t *testing.T) {
	upstream := func(name string) ruleOption {
		return func(r *v1alpha1.RouteRule) { r.Backends = []v1alpha1.Backend{{Name: name, Weight: 1}} }
	}
	table, statuses := routing.Compile(boot, snapshot(
		tokenPolicy("tp"),
		route("token", rule("/token/*", policy("gone")), rule("/fine", policy("tp"))),
		route("limit", rule("/limit/*", open, limited("gone"))),
		route("backend", rule("/backend/*", open, upstream("gone"))),
		route("wide", rule("/*", open)),
	), nil)
	check(t, table,
		gets("GET http://h/token/x", "503"),
		gets("GET http://h/fine", "token/1"),
		gets("GET http://h/limit/x", "503"),
		gets("GET http://h/backend/x", "503"),
		gets("GET http://h/else", "wide/0"),
	)
	for name, want := range map[string]string{
		"token":   `False RefNotFound: spec.rules[0].auth.tokenPolicyRef.name: there is no usable TokenPolicy "gone"; these rules answer 503`,
		"limit":   `False RefNotFound: spec.rules[0].rateLimitRefs[0].name: there is no usable RateLimitPolicy "gone"; these rules answer 503`,
		"backend": `False RefNotFound: spec.rules[0].backends[0].name: there is no usable upstream "gone"; these rules answer 503`,
		"wide":    "True Programmed",
	} {
		if got := status(t, statuses, name); got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

func TestCompile_KeepsTheLastGoodVersion(t *testing.T) {
	first, _ := routing.Compile(boot, snapshot(
		ratePolicy("p", rateRule("r", v1alpha1.KeyClient, 5, "1m")),
		tokenPolicy("tp"),
		route("r", rule("/old/*", policy("tp"), limited("p")))), nil)

	slow := ratePolicy("p", rateRule("r", v1alpha1.KeyClient, 1, "24h"))
	slow.Spec.Rules[0].Burst = new(int32)
	*slow.Spec.Rules[0].Burst = 1000
	token := tokenPolicy("tp")
	token.Spec.Issuer = ""
	edited := snapshot(slow, token, route("r", generation(2), rule("/new/*", without)))

	// Falling back must hold for any number of reloads, not only for the next.
	table := first
	var statuses []resource.Status
	for range 3 {
		table, statuses = routing.Compile(boot, edited, table)
	}
	check(t, table, gets("GET http://h/old/x", "r/0"), gets("GET http://h/new/x", "404"))
	if r := table.Rules()[0]; r.Generation != 1 || r.Auth.Policy.Spec.Issuer != "cloakroom" || r.Limits[0].Limit != 5 {
		t.Errorf("generation %d, issuer %q, limit %d: not the last good ones", r.Generation, r.Auth.Policy.Spec.Issuer, r.Limits[0].Limit)
	}
	for name, want := range map[string]string{"r": "auth", "p": "over a year", "tp": "issuer"} {
		if got := status(t, statuses, name); !strings.Contains(got, want) || !strings.HasSuffix(got, "serving generation 1") {
			t.Errorf("%s: %s", name, got)
		}
	}

	// What was deleted is gone, also as a fallback.
	table, _ = routing.Compile(boot, snapshot(tokenPolicy("tp")), table)
	check(t, table, gets("GET http://h/old/x", "404"))
	table, _ = routing.Compile(boot, edited, table)
	check(t, table, gets("GET http://h/old/x", "404"), gets("GET http://h/new/x", "503"))
}

func TestCompile_BrokenRoutesAnswer503WhereTheyClaim(t *testing.T) {
	broken := []resource.Object{
		route("admin", rule("/admin/*", without)),
		route("bare", host("bare.example"), func(r *v1alpha1.Route) { r.Spec.Rules = []v1alpha1.RouteRule{{}} }),
		route("lower", rule("get /lower", open)),
		route("greedy", age(100), rule("/*", without)),
		route("empty", host("", "Ünï", "*"), func(*v1alpha1.Route) {}),
	}
	good := []resource.Object{route("wide", rule("/*", open))}
	table, statuses := routing.Compile(boot, resource.NewSnapshot(good, broken), nil)
	check(t, table,
		gets("GET http://h/admin/x", "503"),
		gets("GET http://bare.example/x", "503"),
		gets("GET http://h/lower", "503"),
		gets("GET http://h/x", "wide/0"), // the same match as greedy's: what was accepted keeps it
	)
	if got := status(t, statuses, "wide"); got != "True Programmed" {
		t.Errorf("wide: %s", got)
	}
	if len(statuses) != 1 {
		t.Errorf("%d statuses: broken objects are their source's to report", len(statuses))
	}
}

func TestCompile_ClaimHeadersAreStrippedEverywhere(t *testing.T) {
	tp := tokenPolicy("tp")
	tp.Spec.ClaimHeaders = []v1alpha1.ClaimHeader{{Claim: "tenant", Header: "X-Tenant"}}
	config := boot
	config.HeaderHygiene.Strip = []v1alpha1.HeaderName{"X-Legacy-Auth"}
	table, _ := routing.Compile(config, snapshot(tp, route("anyone", rule("/*", open))), nil)
	for _, name := range []string{"X-Tenant", "x_tenant", "X-Legacy-Auth", "X-User-Id"} {
		if !table.Hygiene().Identity(name) {
			t.Errorf("a client could send %s", name)
		}
	}
	tp.Spec.ClaimHeaders = append(tp.Spec.ClaimHeaders, v1alpha1.ClaimHeader{Claim: "a", Header: "x_tenant"}, v1alpha1.ClaimHeader{Claim: "b", Header: "X_Forwarded_For"})
	_, statuses := routing.Compile(boot, snapshot(tp), nil)
	if got := status(t, statuses, "tp"); !strings.Contains(got, "x_tenant is there twice") || !strings.Contains(got, "X_Forwarded_For is the gateway's own") {
		t.Errorf("got %s", got)
	}
}

func TestCompile_RuleCarriesEverything(t *testing.T) {
	table := compile(t, tokenPolicy("tp"), ratePolicy("p", rateRule("r", v1alpha1.KeyHeader, 5, "1m")),
		route("files", generation(7), rule("/v1/files/*", named("main"), policy("tp"), require("files:read:self", "files:update:all"), limited("p"),
			change(func(r *v1alpha1.RouteRule) {
				r.CORS = &v1alpha1.CORS{AllowOrigins: []v1alpha1.CORSOrigin{"https://App.Example"}, AllowMethods: []v1alpha1.HTTPMethod{"GET"},
					AllowHeaders: []v1alpha1.HeaderName{"X-A"}, ExposeHeaders: []v1alpha1.HeaderName{"etag"}, AllowCredentials: true, MaxAge: "10m"}
				r.Headers = &v1alpha1.RouteHeaders{
					Request:  &v1alpha1.HeaderChanges{Remove: []v1alpha1.HeaderName{"x-debug"}, Set: []v1alpha1.Header{{Name: "x-from", Value: "gw"}}},
					Response: &v1alpha1.HeaderChanges{Add: []v1alpha1.Header{{Name: "vary", Value: "Accept"}}},
				}
				r.Rewrite = &v1alpha1.Rewrite{Hostname: "files.internal", Path: replace("/files").Path}
				r.Limits.MaxBodyBytes = "5Gi"
				r.Timeouts = v1alpha1.RouteTimeouts{Request: "1h", ResponseHeader: "30s"}
				r.Backends = []v1alpha1.Backend{{Name: "files", Weight: 9}, {Name: "auth", Weight: 0}}
			}))),
		route("plain", rule("/*", open)))

	got := *table.Rules()[0]
	if p := got.Auth.Policy; p == nil || p.Name != "tp" || len(p.Digest) != 64 || got.Auth.Anonymous() {
		t.Errorf("auth: %+v", got.Auth)
	}
	got.Auth = routing.Auth{}
	want := routing.Rule{
		Route: "files", Name: "main", Generation: 7,
		Require: []principal.Permission{{Resource: "files", Action: "read", Scope: "self"}, {Resource: "files", Action: "update", Scope: "all"}},
		Limits:  []*routing.LimitRule{{Policy: "p", Name: "r", Generation: 1, By: routing.ByHeader, Header: "X-Tenant", Limit: 5, Window: time.Minute, Burst: 5}},
		CORS: &routing.CORS{Origins: []string{"https://app.example"}, Methods: []string{"GET"}, Headers: []string{"x-a"},
			ExposeHeaders: []string{"Etag"}, Credentials: true, MaxAge: 10 * time.Minute},
		Request:      routing.HeaderEdit{Remove: []string{"X-Debug"}, Set: []routing.Header{{Name: "X-From", Value: "gw"}}},
		Answer:       routing.HeaderEdit{Add: []routing.Header{{Name: "Vary", Value: "Accept"}}},
		Path:         routing.Rewrite{Hostname: "files.internal", ReplacePrefix: true, Prefix: "/files"},
		MaxBodyBytes: 5 << 30,
		Timeouts:     routing.Timeouts{Request: time.Hour, ResponseHeader: 30 * time.Second},
		Backends:     []routing.Backend{{Upstream: "files", Weight: 9}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if plain := table.Rules()[1]; plain.MaxBodyBytes != 1<<20 || !plain.Auth.Anonymous() || plain.CORS != nil {
		t.Errorf("plain: %+v", plain)
	}
	if (routing.Auth{}).Anonymous() {
		t.Error("an empty decision must not mean open")
	}
}

func TestAllows(t *testing.T) {
	rule := compile(t, tokenPolicy("tp"), route("r", rule("/*", policy("tp"), require("files:read:self", "users:read:all")))).Rules()[0]
	caller := func(permissions ...string) principal.Principal {
		var p principal.Principal
		for _, text := range permissions {
			permission, _ := principal.ParsePermission(text)
			p.Permissions = append(p.Permissions, permission)
		}
		return p
	}
	for _, has := range [][]string{{"files:read:self", "users:read:all"}, {"files:read:all", "users:read:all"}} {
		if !rule.Allows(caller(has...)) {
			t.Errorf("%v is enough", has)
		}
	}
	for _, has := range [][]string{{}, {"files:read:self"}, {"files:read:self", "users:read:self"}, {"files:create:self", "users:read:all"}} {
		if rule.Allows(caller(has...)) {
			t.Errorf("%v is not enough", has)
		}
	}
}

func TestCompile_DoesNotDependOnOrder(t *testing.T) {
	a := []resource.Object{route("a", age(1), rule("/x or /y", open)), route("b", age(1), rule("/y or /z", open)), route("c", age(9), rule("/z", open))}
	b := []resource.Object{a[2], a[0], a[1]}
	first, s1 := routing.Compile(boot, snapshot(a...), nil)
	second, s2 := routing.Compile(boot, snapshot(b...), nil)
	for _, e := range []expectation{gets("GET http://h/x", "a/0"), gets("GET http://h/y", "a/0"), gets("GET http://h/z", "c/0")} {
		check(t, first, e)
		check(t, second, e)
	}
	if diff := cmp.Diff(s1, s2); diff != "" || first.Digest() != second.Digest() {
		t.Errorf("statuses or digest differ:\n%s", diff)
	}
}

func TestReview_TellsEveryFlawWithItsField(t *testing.T) {
	got := routing.Review(snapshot(
		route("a", rule("/x", open)),
		route("b", rule("/x or ~(", open), rule("/y", policy("gone")))))
	var lines []string
	for _, f := range got {
		lines = append(lines, f.Kind+"/"+f.Name+" "+f.Field)
	}
	want := []string{
		"Route/b spec.rules[0].matches[1].path.value",
		"Route/b spec.rules[1].auth.tokenPolicyRef.name",
		"Route/b spec.rules[0].matches[0]",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := routing.Review(snapshot(product()...)); got != nil {
		t.Errorf("a good configuration has flaws: %v", got)
	}
}
