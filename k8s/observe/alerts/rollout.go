package alerts

// rollout alerts on what runs where: processes, versions, configuration, certificates.
func rollout() Group {
	return Group{Name: "cloakroom-rollout", Rules: []Rule{
		alert("CloakroomAbsent", page, "5m", `absent(cloakroom_http_requests_in_flight{listener="gateway"})`,
			"No gateway is being scraped."),
		alert("CloakroomConfigNotAccepted", ticket, "<notAcceptedFor>",
			`min by (namespace, service) (cloakroom_config_last_reload_success) == 0
or
max by (namespace, service) (cloakroom_config_objects{state="rejected"}) > 0`,
			"{{ $labels.service }} refuses part of its configuration and goes on with what it had."),
		alert("CloakroomClusterUnreadable", ticket, "10m", `min by (namespace, service, kind) (cloakroom_config_cluster_up) == 0`,
			"{{ $labels.service }} can't read {{ $labels.kind }} from the API server and goes on with what it had."),
		alert("CloakroomRulesRefused", page, "5m", `max by (namespace) (cloakroom_gateway_refused_rules) > 0`,
			"{{ $value }} rules of the gateway answer 503, because something about them is wrong."),
		alert("CloakroomConfigDiffers", ticket, "<notAcceptedFor>",
			`count by (namespace, service) (count by (namespace, service, digest) (count_values by (namespace, service) ("digest", cloakroom_config_snapshot))) > 1`,
			"Processes of {{ $labels.service }} serve {{ $value }} different configurations."),
		alert("CloakroomVersionsDiffer", ticket, "<versionsDifferFor>", `count by (namespace) (count by (namespace, version) (cloakroom_build_info)) > 1`,
			"{{ $value }} versions of Cloakroom run side by side."),
		alert("CloakroomCertificateExpiring", ticket, "1h",
			`min by (namespace, name) (certmanager_certificate_expiration_timestamp_seconds - time()) / 86400 < <certificateDays>
and on (namespace) count by (namespace) (cloakroom_build_info)`,
			"Certificate {{ $labels.name }} ends in {{ $value | humanize }} days."),
	}}
}
