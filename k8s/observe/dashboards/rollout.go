package dashboards

// rollout is what runs where, on which configuration.
func rollout() *dashboard {
	return board("rollout", "Rollout", "Versions, configuration, and whether every process has the same.",
		row{"Versions", []*panel{
			table("Running", "", query{`count by (namespace, version, go) (cloakroom_build_info{NS})`, ""}),
			graph("Processes by version", "short", "", query{`count by (version) (cloakroom_build_info{NS})`, "{{version}}"}),
			graph("Up for", "s", "", query{`time() - (process_start_time_seconds{NS} and on (namespace, job, instance) cloakroom_build_info)`, "{{instance}}"}),
		}},
		row{"Configuration", []*panel{
			graph("Accepted", "short", "1: the last reading was accepted whole.", query{`min by (service) (cloakroom_config_last_reload_success{NS})`, "{{service}}"}),
			graph("Objects", "short", "", gauge("cloakroom_config_objects", "service", "state")),
			graph("Different configurations in use", "short", "1 of each service, but for the moment of a change.", query{
				`count by (service) (count by (service, digest) (count_values by (service) ("digest", cloakroom_config_snapshot{NS})))`, "{{service}}",
			}),
			table("Digests", "Processes by what they serve.", query{`count_values by (service) ("digest", cloakroom_config_snapshot{NS})`, ""}),
			graph("Readings", "reqps", "", rate("cloakroom_config_reloads_total", "{NS}", "service", "result")),
			graph("Last reading", "s", "How long ago.", query{`time() - max by (service) (cloakroom_config_last_reload_timestamp_seconds{NS})`, "{{service}}"}),
		}},
		row{"Kubernetes", []*panel{
			graph("API server", "short", "1: the kind can be read. 0: what was read before is in force.", query{`min by (service, kind) (cloakroom_config_cluster_up{NS})`, "{{service}} {{kind}}"}),
			graph("Writers of status", "short", "1 of each service.", query{`sum by (service) (cloakroom_config_status_leader{NS})`, "{{service}}"}),
			graph("Statuses", "reqps", "", rate("cloakroom_config_status_writes_total", "{NS}", "service", "result")),
		}},
		row{"Routing", []*panel{
			graph("Rules", "short", "refused ones answer 503.", query{`max(cloakroom_gateway_rules{NS})`, "rules"}, query{`max(cloakroom_gateway_refused_rules{NS})`, "refused"}),
			graph("Routing tables put to use", "reqps", "", query{`sum(rate(cloakroom_gateway_config_changes_total{NS}[$__rate_interval]))`, "changes"}),
			graph("Routing table in use", "s", "Its age.", query{`time() - max(cloakroom_gateway_config_changed_timestamp_seconds{NS})`, "age"}),
		}},
		row{"Front door", []*panel{
			graph("Certificates", "d", "Days left, as cert-manager reports them.", query{
				`min by (namespace, name) (certmanager_certificate_expiration_timestamp_seconds{NS} - time()) / 86400`, "{{name}}",
			}),
		}})
}
