package alerts

// capacity alerts on bounds that are reached. What they protect still works; somebody is told to come back.
func capacity() Group {
	return Group{Name: "cloakroom-capacity", Rules: []Rule{
		alert("CloakroomHashGateSaturated", page, "5m",
			`sum by (namespace) (rate(cloakroom_auth_hash_refused_total{reason=~"queue_full|waited_too_long"}[5m])) > <hashRefusalsPerSecond>
or
histogram_quantile(0.9, sum by (namespace, le) (rate(cloakroom_auth_hash_wait_seconds_bucket[5m]))) > <hashWaitSeconds>`,
			"Logins wait for memory to hash passwords, or are turned away."),
		alert("CloakroomWritesQueued", ticket, "5m", `max by (namespace, service, db) (cloakroom_sqlite_queued_writes) > <queuedWrites>`,
			"{{ $value }} writes wait for the database {{ $labels.db }} of {{ $labels.service }}."),
		alert("CloakroomConnectionsUsedUp", ticket, "5m",
			`max by (namespace, service, db) (cloakroom_postgres_connections_busy / cloakroom_postgres_connections_max) > <connectionRatio>
or
sum by (namespace, service, db) (rate(cloakroom_postgres_acquire_refused_total[5m])) > 0`,
			"{{ $labels.service }} uses all its connections to PostgreSQL."),
		alert("CloakroomClientConnectionsUsedUp", ticket, "5m",
			`max by (namespace, instance) (cloakroom_gateway_connections / cloakroom_gateway_connections_max) > <connectionRatio>`,
			"The gateway {{ $labels.instance }} has {{ $value | humanizePercentage }} of the connections of clients that it may have."),
		alert("CloakroomMemoryNearLimit", ticket, "10m",
			`max by (namespace, job, instance) (
  process_resident_memory_bytes / go_gc_gomemlimit_bytes
  and on (namespace, job, instance) cloakroom_build_info
) > <memoryRatio>`,
			"{{ $labels.instance }} uses {{ $value | humanizePercentage }} of its GOMEMLIMIT."),
		alert("CloakroomLimiterEvicting", ticket, "10m", `sum by (namespace) (rate(cloakroom_gateway_limiter_evictions_total[10m])) > 0`,
			"The rate limiter forgets keys that are in debt: a flood of keys, or a limiter that is too small."),
		alert("CloakroomLimitStoreLost", ticket, "5m", `min by (namespace) (cloakroom_gateway_limiter_store_up) == 0`,
			"A gateway counts limits by itself, because it can't reach the store that gateways share."),
		alert("CloakroomPanics", ticket, "", `sum by (namespace, service) (increase(cloakroom_http_panics_total[15m])) > 0`,
			"Handlers of {{ $labels.service }} panicked."),
	}}
}
