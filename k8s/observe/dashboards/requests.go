package dashboards

import "fmt"

const served = "cloakroom_http_request_duration_seconds"

// requests is rate, errors and duration by route, of the gateway and of each service behind it.
func requests() *dashboard {
	rows := []row{{"Objectives", []*panel{
		graph("Error budget burning", "none", "How many times faster than it may the availability budget (0.1 %) is used. Above 14.4 somebody is called.",
			query{`cloakroom:errors:ratio_rate5m{NS} / 0.001`, "5m {{namespace}}"}, query{`cloakroom:errors:ratio_rate1h{NS} / 0.001`, "1h {{namespace}}"},
			query{`cloakroom:errors:ratio_rate6h{NS} / 0.001`, "6h {{namespace}}"}),
		graph("Latency budget burning", "none", "The same for the latency budget (1 % of requests may be slow).",
			query{`cloakroom:slow:ratio_rate5m{NS} / 0.01`, "5m {{service}}"}, query{`cloakroom:slow:ratio_rate1h{NS} / 0.01`, "1h {{service}}"}),
		graph("Requests in flight", "short", "", query{`sum by (service, listener) (cloakroom_http_requests_in_flight{NS})`, "{{service}} {{listener}}"}),
	}}}
	for _, l := range []struct{ title, listener string }{
		{"Gateway", "gateway"}, {"Accounts and sessions (auth-svc)", "auth"}, {"Files (files-svc)", "files"}, {"Between services (auth-svc, internal)", "auth-internal"},
	} {
		rows = append(rows, row{l.title, byRoute(l.listener)})
	}
	rows = append(rows, row{"From the gateway to services", []*panel{
		graph("Time to the beginning of an answer", "s", "", quantiles("cloakroom_gateway_upstream_seconds", "{NS}", "upstream")...),
		graph("Exchanges that failed", "reqps", "dial, timeout, broken: the service; revoked: the session ended under way.",
			rate("cloakroom_gateway_upstream_errors_total", "{NS}", "upstream", "kind")),
		graph("Requests refused before routing", "reqps", "Malformed ones, and connections over the bound of an address.",
			rate("cloakroom_gateway_malformed_requests_total", "{NS}", "reason"),
			query{`sum(rate(cloakroom_gateway_connections_refused_total{NS}[$__rate_interval]))`, "connections refused"}),
		graph("Panics", "short", "Anything above zero is a defect.", query{`sum by (service) (increase(cloakroom_http_panics_total{NS}[$__rate_interval]))`, "{{service}}"}),
	}})
	return board("requests", "Requests", "Rate, errors and duration by route.", rows...)
}

func byRoute(listener string) []*panel {
	of := func(more string) string { return fmt.Sprintf(`{NS, listener="%s"%s}`, listener, more) }
	return []*panel{
		graph("Rate by route", "reqps", "", rate(served+"_count", of(""), "route")),
		graph("Failures by route", "reqps", "Answers 5xx: ours.", rate(served+"_count", of(`, code=~"5.."`), "route", "code")),
		graph("Refusals by code", "reqps", "Answers 4xx: the caller's. 429 is a limit, 499 a client that left.", rate(served+"_count", of(`, code=~"4.."`), "code")),
		graph("Duration", "s", "A dot is an exemplar: a request whose trace was kept.", quantiles(served, of(""))...),
		graph("Slowest routes (p99)", "s", "", query{
			fmt.Sprintf(`topk(10, histogram_quantile(0.99, sum by (le, route) (rate(%s_bucket%s[$__rate_interval]))))`, served, of("")), "{{route}}",
		}),
		heat("Durations", "s", "", fmt.Sprintf(`sum by (le) (rate(%s_bucket%s[$__rate_interval]))`, served, of(""))),
	}
}
