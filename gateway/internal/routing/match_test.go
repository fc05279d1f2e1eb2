package routing_test

import (
	"testing"

	"cloakroom.dev/gateway/internal/routing"
)

type expectation struct{ request, want string }

func gets(request, want string) expectation { return expectation{request, want} }

func check(t *testing.T, table *routing.Table, expectations ...expectation) {
	t.Helper()
	for _, e := range expectations {
		if got := answer(table, e.request); got != e.want {
			t.Errorf("%s: got %s, want %s", e.request, got, e.want)
		}
	}
}

func TestMatch_Hosts(t *testing.T) {
	check(t, compile(t,
		route("every", rule("/*", open)),
		route("exact", host("files.example.com"), rule("/*", open)),
		route("near", host("*.example.com"), rule("/*", open)),
		route("nearer", host("*.eu.example.com"), rule("/*", open)),
		route("narrow", host("only.example.org"), rule("/here", open)),
	),
		gets("GET http://files.example.com/", "exact/0"),
		gets("GET http://FILES.example.COM:8080/", "exact/0"),
		gets("GET http://files.example.com./", "exact/0"),
		gets("GET http://other.example.com/", "near/0"),
		gets("GET http://a.b.example.com/", "near/0"),
		gets("GET http://a.eu.example.com/", "nearer/0"),
		gets("GET http://eu.example.com/", "near/0"),
		gets("GET http://example.com/", "every/0"),
		gets("GET http://.example.com/", "every/0"),
		gets("GET http://[2001:db8::1]:8080/", "every/0"),
		gets("GET http:///", "every/0"),
		gets("GET http://only.example.org/here", "narrow/0"),
		gets("GET http://only.example.org/there", "every/0"),
	)
}

func TestMatch_Paths(t *testing.T) {
	check(t, compile(t,
		route("r",
			rule("/v1/files/usage", open, named("exact")),
			rule("/v1/files/*", open, named("files")),
			rule("/v1/*", open, named("v1")),
			rule("/slash/", open, named("slash")),
			rule("~/l/[a-z]{3}", open, named("link")),
			rule("~/v1/.*", open, named("never")),
			rule("/", open, named("root")),
		),
	),
		gets("GET http://h/v1/files/usage", "r/exact"),
		gets("GET http://h/v1/files/usage/", "r/files"),
		gets("GET http://h/v1/files", "r/files"),
		gets("GET http://h/v1/files/", "r/files"),
		gets("GET http://h/v1/files/a/b/c", "r/files"),
		gets("GET http://h/v1/filesystem", "r/v1"),
		gets("GET http://h/v1", "r/v1"),
		gets("GET http://h/v10", "404"),
		gets("GET http://h/V1", "404"),
		gets("GET http://h/slash/", "r/slash"),
		gets("GET http://h/slash", "404"),
		gets("GET http://h/slash/x", "404"),
		gets("GET http://h/l/abc", "r/link"),
		gets("GET http://h/l/abcd", "404"),
		gets("GET http://h/x/l/abc", "404"),
		gets("GET http://h/", "r/root"),
		gets("GET http://h/unknown", "404"),
	)
}

func TestMatch_MethodsHeadersAndQuery(t *testing.T) {
	check(t, compile(t,
		route("r",
			rule("/a", open, named("any")),
			rule("GET /a", open, named("get")),
			rule("/a h:x-plan=gold", open, named("gold")),
			rule("/a h:x-plan=gold h:x-eu~y.*", open, named("gold-eu")),
			rule("/a q:draft=1", open, named("draft")),
			rule("GET /a h:x-plan=gold", open, named("get-gold")),
		),
	),
		gets("POST http://h/a", "r/any"),
		gets("GET http://h/a", "r/get"),
		gets("POST http://h/a X-Plan=gold", "r/gold"),
		gets("POST http://h/a X-Plan=gold X-Eu=yes", "r/gold-eu"),
		gets("POST http://h/a X-Plan=gold X-Eu=oh-yes", "r/gold"),
		gets("POST http://h/a X-Plan=golden", "r/any"),
		gets("POST http://h/a X-Plan=gold X-Plan=gold", "r/any"),
		gets("GET http://h/a X-Plan=gold", "r/get-gold"),
		gets("POST http://h/a?draft=1", "r/draft"),
		gets("POST http://h/a?draft=%31", "r/draft"),
		gets("POST http://h/a?draft=2&draft=1", "r/any"),
		gets("POST http://h/a?draft=1&broken=%zz", "r/draft"),
		gets("POST http://h/a?draft=1 X-Plan=gold", "r/gold"),
	)
}

func TestMatch_MethodNotAllowed(t *testing.T) {
	check(t, compile(t,
		route("r",
			rule("GET /v1/files or POST /v1/files or GET /v1/files/*", open),
			rule("DELETE /v1/files h:x-sure=yes", open),
			rule("PUT /v1/*", open),
		),
	),
		gets("GET http://h/v1/files", "r/0"),
		gets("PATCH http://h/v1/files", "405 GET, POST, PUT"),
		gets("DELETE http://h/v1/files", "405 GET, POST, PUT"),
		gets("PATCH http://h/v1/files X-Sure=yes", "405 DELETE, GET, POST, PUT"),
		gets("get http://h/v1/files", "405 GET, POST, PUT"),
		gets("HEAD http://h/v1/files/x", "405 GET, PUT"),
		gets("PATCH http://h/v2", "404"),
	)
}

func TestMatch_OlderThenNameThenPlace(t *testing.T) {
	table, statuses := routing.Compile(boot, snapshot(
		route("b-old", age(5), rule("/same", open), rule("/same", open), rule("/own/*", open)),
		route("a-young", age(1), rule("/same", open)),
		route("x", age(3), rule("/tie", open)),
		route("w", age(3), rule("/tie or /w", open)),
	), nil)
	check(t, table,
		gets("GET http://h/same", "b-old/0"),
		gets("GET http://h/own/x", "b-old/2"),
		gets("GET http://h/tie", "w/0"),
	)
	for name, want := range map[string]string{
		"a-young": "False Overridden: spec.rules[0].matches[0]: any method any host path /same belongs to rule 0 of Route b-old, which is older or first by name; nothing of it is served",
		"b-old":   "False Conflicted: spec.rules[1].matches[0]: any method any host path /same is there already, in rule 0; the other matches serve",
		"x":       "False Overridden: spec.rules[0].matches[0]: any method any host path /tie belongs to rule 0 of Route w, which is older or first by name; nothing of it is served",
		"w":       "True Programmed",
	} {
		if got := status(t, statuses, name); got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

func TestMatch_AllocatesNothing(t *testing.T) {
	table := compile(t, product()...)
	for _, text := range []string{
		"GET http://localhost:8080/v1/files/0192f0c1-0000-7000-8000-000000000000/content",
		"POST http://medods.localhost:8080/auth/login",
		"GET http://localhost:8080/nowhere",
	} {
		r := request(text)
		if n := testing.AllocsPerRun(100, func() { table.Match(r) }); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
}
