package routing_test

import (
	"testing"

	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"
)

// product is a table of the size and shape this product has: its API, five dialects by host and by prefix.
func product() []resource.Object {
	objects := []resource.Object{
		tokenPolicy("default"),
		ratePolicy("login", rateRule("address", v1alpha1.KeyClient, 10, "1m")),
		ratePolicy("calls", rateRule("user", v1alpha1.KeySubject, 600, "1m")),
		route("auth-open", rule("POST /v1/auth/signup or POST /v1/auth/login or POST /v1/auth/refresh or GET /.well-known/jwks.json", open, limited("login"))),
		route("auth", rule("POST /v1/auth/logout or POST /v1/auth/logout-all or GET /v1/auth/session or GET /v1/auth/sessions or DELETE /v1/auth/sessions/*", policy("default"), limited("calls"))),
		route("users", rule("/v1/users/* or /v1/roles/* or /v1/api-keys/* or /v1/audit/* or /v1/signing-keys/*", policy("default"), limited("calls"))),
		route("files", rule("/v1/files/* or /v1/trash/* or /v1/uploads/*", policy("default"), limited("calls"))),
		route("links", rule("GET /l/*", open)),
	}
	for _, name := range []string{"rest-auth-files", "medods", "user-management", "trackit", "siteworks"} {
		objects = append(objects,
			route(name, rule("/compat/"+name+"/*", open)),
			route(name+"-host", host(v1alpha1.Hostname(name+".localhost")), rule("/*", open)))
	}
	return objects
}

func BenchmarkMatch(b *testing.B) {
	table := compile(b, product()...)
	for name, text := range map[string]string{
		"prefix": "GET http://localhost:8080/v1/files/0192f0c1-0000-7000-8000-000000000000/content",
		"exact":  "POST http://localhost:8080/v1/auth/login",
		"host":   "POST http://medods.localhost:8080/auth/login",
		"none":   "GET http://localhost:8080/nowhere/at/all",
	} {
		r := request(text)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				table.Match(r)
			}
		})
	}
}

func BenchmarkCanonical(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := routing.Canonical("/v1/files/0192f0c1-0000-7000-8000-000000000000/content"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIdentity(b *testing.B) {
	h := routing.NewHygiene("X-Tenant")
	names := []string{"Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Cookie", "User-Agent", "X-Request-Id", "Traceparent"}
	b.ReportAllocs()
	for b.Loop() {
		for _, name := range names {
			if h.Identity(name) || h.Forwarding(name) {
				b.Fatal(name)
			}
		}
	}
}
