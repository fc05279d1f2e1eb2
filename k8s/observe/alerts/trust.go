package alerts

// trust alerts on who may still come in: revocations, keys, clocks.
func trust() Group {
	return Group{Name: "cloakroom-trust", Rules: []Rule{
		alert("CloakroomRevocationLag", page, "1m", `max by (namespace, service) (cloakroom_revocation_lag_seconds) > <revocationLagSeconds>`,
			"{{ $labels.service }} knows the revocation log of {{ $value | humanizeDuration }} ago."),
		alert("CloakroomRevocationStreamDown", ticket, "5m", `min by (namespace, service) (cloakroom_revocation_stream_up) == 0`,
			"{{ $labels.service }} has a process that does not follow the revocation log."),
		alert("CloakroomRevocationSpreadSlow", ticket, "15m",
			`histogram_quantile(0.99, sum by (namespace, le) (rate(cloakroom_auth_revocation_ack_seconds_bucket[15m]))) > <revocationSpreadSeconds>`,
			"The word of a revocation takes {{ $value | humanizeDuration }} to be heard everywhere."),
		alert("CloakroomJWKSOld", ticket, "5m", `max by (namespace, service) (cloakroom_jwks_age_seconds) > <jwksAgeSeconds>`,
			"{{ $labels.service }} could not fetch signing keys for {{ $value | humanizeDuration }}."),
		alert("CloakroomUnknownKeyIDs", ticket, "10m", `sum by (namespace, service) (rate(cloakroom_jwks_unknown_kid_total[5m])) > <unknownKeyIDsPerSecond>`,
			"{{ $labels.service }} gets {{ $value | humanize }} tokens a second that name a key nobody published."),
		alert("CloakroomSigningKeyOld", ticket, "1h", `max by (namespace) (cloakroom_auth_signing_key_age_seconds{state="current"}) > <signingKeyAgeSeconds>`,
			"Access tokens are signed with a key that is {{ $value | humanizeDuration }} old."),
		alert("CloakroomRefreshTokensReused", page, "", `sum by (namespace) (increase(cloakroom_auth_refreshes_total{result="reused"}[1h])) > <refreshReusePerHour>`,
			"{{ $value | humanize }} refresh tokens were shown twice within an hour: theft, or a client that keeps old ones."),
		alert("CloakroomClockSkew", ticket, "10m",
			`max by (namespace, job, instance) (abs(cloakroom_clock_timestamp_seconds - timestamp(cloakroom_clock_timestamp_seconds))) > <clockSkewSeconds>`,
			"The clock of {{ $labels.instance }} is {{ $value | humanizeDuration }} off."),
	}}
}
