package routing_test

import (
	"encoding/json"
	"testing"

	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"
)

// FuzzCompile feeds objects that passed no schema, as good ones and as broken ones: nothing may panic, and whatever comes
// out must keep the promise that nothing is served without an explicit decision on authentication.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		`{"metadata":{"name":"a"},"spec":{"rules":[{"auth":{"anonymous":{"reason":"testing it"}},"backends":[{"name":"files","weight":1}]}]}}`,
		`{"spec":{"hostnames":["*.x",""],"rules":[{"matches":[{"path":{"type":"RegularExpression","value":"/(a|b)+"}}],"auth":{}}]}}`,
		`{"spec":{"rules":[{"matches":[{"path":{"type":"Exact","value":"//"},"headers":[{"name":"h","value":"("}]}]}]}}`,
		`{"spec":{"rules":[{"auth":{"tokenPolicyRef":{"name":"tp"}},"rateLimitRefs":[{"name":"p"}],"rewrite":{"path":{"type":"ReplacePrefixMatch"}}}]}}`,
	} {
		f.Add([]byte(seed), "GET", "h.x", "/a/b")
	}
	f.Fuzz(func(t *testing.T, text []byte, method, host, path string) {
		var r v1alpha1.Route
		if json.Unmarshal(text, &r) != nil {
			return
		}
		others := []resource.Object{tokenPolicy("tp"), ratePolicy("p", rateRule("r", v1alpha1.KeyClient, 1, "1s"))}
		for _, s := range []*resource.Snapshot{
			resource.NewSnapshot(append(others, &r), nil),
			resource.NewSnapshot(others, []resource.Object{&r}),
		} {
			table, _ := routing.Compile(boot, s, nil)
			d := table.Match(&routing.Request{Method: method, Host: host, Path: path})
			if d.Outcome != routing.Matched || d.Rule.Refused != "" {
				continue
			}
			if d.Rule.Auth.Policy == nil && !d.Rule.Auth.Anonymous() {
				t.Fatalf("served without a decision on authentication: %+v", d.Rule)
			}
			if d.Rule.Target(7) == "" {
				t.Fatalf("served to nowhere: %+v", d.Rule)
			}
			if _, ok := resource.Named[*v1alpha1.Route](s, r.Name); !ok {
				t.Fatal("a route that was never accepted is served")
			}
		}
	})
}
