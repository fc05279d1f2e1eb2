package dashboards

// saturation shows each bounded thing of each process beside what happens at its bound.
func saturation() *dashboard {
	return board("saturation", "Saturation", "How full everything is that has a bound.",
		signingIn(), databases(), gatewayBounds(), trustBounds(), filesBounds(), bucket(), processes())
}

func signingIn() row {
	return row{"Signing in", []*panel{
		graph("Memory", "bytes", "", gauge("cloakroom_auth_hash_running_bytes", "service")),
		graph("In line", "short", "Hashes that wait, and processes that hash.", query{`max(cloakroom_auth_hash_queued{NS})`, "waiting"}, query{`sum(cloakroom_auth_hash_helpers{NS})`, "helpers"}),
		graph("Turned away", "reqps", "", rate("cloakroom_auth_hash_refused_total", "{NS}", "reason")),
		graph("Wait", "s", "", quantiles("cloakroom_auth_hash_wait_seconds", "{NS}")...),
		graph("Work", "s", "", quantiles("cloakroom_auth_hash_seconds", "{NS}")...),
		graph("Passwords nobody looked at", "reqps", "locked: too many failures. queue_full: 64 wait for those under way at one account or address.", rate("cloakroom_auth_guesses_refused_total", "{NS}", "reason")),
		graph("Failures held in memory", "short", "They could not be written. Of at most 10 000.", query{`max(cloakroom_auth_failures_held{NS})`, "held"}),
		graph("Mails that wait", "short", "Of at most 10 000.", query{`max(cloakroom_auth_mails_waiting{NS})`, "waiting"}),
		graph("Sign-ins elsewhere under way", "short", "Of at most 10 000.", gauge("cloakroom_auth_provider_sign_ins_open", "awaits")),
	}}
}

func databases() row {
	return row{"Databases", []*panel{
		graph("SQLite: writes that wait", "short", "1024 in the queue, those beyond at its door.", gauge("cloakroom_sqlite_queued_writes", "service", "db")),
		graph("SQLite: reads that wait", "short", "For one of four readers.", gauge("cloakroom_sqlite_waiting_reads", "service", "db")),
		graph("SQLite: time of a commit", "s", "", quantiles("cloakroom_sqlite_commit_seconds", "{NS}", "db")...),
		graph("SQLite: writes a commit", "short", "", quantiles("cloakroom_sqlite_commit_writes", "{NS}", "db")...),
		graph("SQLite: writes to the log", "reqps", "Writes to the write-ahead log: one for each 124 KiB of a commit, which holds 1 MiB at most.", rate("cloakroom_sqlite_wal_writes_total", "{NS}", "service", "db")),
		graph("SQLite: pages in the pool", "short", "Of at most 3799. Those beyond take twice the memory.", gauge("cloakroom_sqlite_pooled_pages", "service")),
		graph("SQLite: commits again", "reqps", "Groups run again, each write apart, because one of them had failed.", rate("cloakroom_sqlite_repeated_commits_total", "{NS}", "service", "db")),
		graph("PostgreSQL: time of a transaction", "s", "", quantiles("cloakroom_postgres_transaction_seconds", "{NS}", "db", "kind")...),
		graph("PostgreSQL: connections", "short", "", gauge("cloakroom_postgres_connections_busy", "service", "db"),
			query{`max by (service, db) (cloakroom_postgres_connections_open{NS})`, "{{service}} {{db}} open"}, query{`max by (service, db) (cloakroom_postgres_connections_max{NS})`, "{{service}} {{db}} at most"}),
		graph("PostgreSQL: waits for a connection", "reqps", "", rate("cloakroom_postgres_acquire_waits_total", "{NS}", "service", "db"),
			query{`sum by (service, db) (rate(cloakroom_postgres_acquire_refused_total{NS}[$__rate_interval]))`, "{{service}} {{db}} refused"}),
		graph("PostgreSQL: time waited", "s", "Seconds a second.", rate("cloakroom_postgres_acquire_wait_seconds_total", "{NS}", "service", "db")),
		graph("PostgreSQL: again", "reqps", "Transactions run again, connections opened, listeners lost.", rate("cloakroom_postgres_repeated_total", "{NS}", "service", "db"),
			query{`sum by (service, db) (rate(cloakroom_postgres_connections_opened_total{NS}[$__rate_interval]))`, "{{service}} {{db}} opened"},
			query{`sum by (service, db) (rate(cloakroom_postgres_listener_lost_total{NS}[$__rate_interval]))`, "{{service}} {{db}} listener lost"}),
		graph("PostgreSQL: writes of files", "short", "", query{`max(cloakroom_files_commit_waiting{NS})`, "waiting"}, query{`sum(rate(cloakroom_files_commit_refused_total{NS}[$__rate_interval]))`, "refused"},
			query{`sum(rate(cloakroom_files_commit_postponed_total{NS}[$__rate_interval]))`, "postponed"}),
		graph("PostgreSQL: writes a transaction", "short", "", quantiles("cloakroom_files_commit_writes", "{NS}")...),
		graph("Expired rows removed", "reqps", "", rate("cloakroom_auth_swept_total", "{NS}", "what")),
	}}
}

func gatewayBounds() row {
	return row{"Gateway", []*panel{
		graph("Limits", "reqps", "What each rule said.", rate("cloakroom_gateway_limit_decisions_total", "{NS}", "rule", "result")),
		graph("Limiter", "short", "", query{`max(cloakroom_gateway_limiter_keys{NS})`, "keys"}, query{`sum(rate(cloakroom_gateway_limiter_evictions_total{NS}[$__rate_interval]))`, "evicted a second"}),
		graph("Connections of clients", "short", "Parked ones wait for their next request at next to no cost.", query{`sum(cloakroom_gateway_connections{NS})`, "open"},
			query{`sum(cloakroom_gateway_connections_parked{NS})`, "parked"}, query{`sum(cloakroom_gateway_connections_max{NS})`, "at most"}),
		graph("Connections to services", "short", "", gauge("cloakroom_gateway_upstream_connections", "upstream"),
			query{`max by (upstream) (cloakroom_gateway_upstream_connections_idle{NS})`, "{{upstream}} idle"}, query{`max by (upstream) (cloakroom_gateway_upstream_waiting{NS})`, "{{upstream}} waiting"}),
		graph("Waits for a connection to a service", "reqps", "", rate("cloakroom_gateway_upstream_waits_total", "{NS}", "upstream"),
			query{`sum by (upstream) (rate(cloakroom_gateway_upstream_waits_failed_total{NS}[$__rate_interval]))`, "{{upstream}} got none"}),
		graph("Requests with services", "short", "", gauge("cloakroom_gateway_upstream_requests", "upstream"),
			query{`max by (upstream) (cloakroom_gateway_upstream_requests_limit{NS})`, "{{upstream}} at most (0: no bound)"},
			query{`sum by (upstream, reason) (rate(cloakroom_gateway_upstream_refused_total{NS}[$__rate_interval]))`, "{{upstream}} {{reason}} a second"}),
		graph("Addresses of services", "short", "", gauge("cloakroom_gateway_upstream_addresses", "upstream", "state"),
			query{`sum by (upstream) (increase(cloakroom_gateway_upstream_ejections_total{NS}[$__rate_interval]))`, "{{upstream}} ejections"}),
		graph("Retries", "short", "", rate("cloakroom_gateway_upstream_retries_total", "{NS}", "upstream", "result"),
			query{`min by (upstream) (cloakroom_gateway_upstream_retry_budget{NS})`, "{{upstream}} budget"}),
		graph("Health checks", "reqps", "", rate("cloakroom_gateway_upstream_health_checks_total", "{NS}", "upstream", "said")),
		graph("Tunnels", "short", "", query{`sum(cloakroom_gateway_tunnels{NS})`, "open"}),
		graph("Shared limits: the store", "short", "1 while it is relied on. 0: each gateway enforces its share.", query{`min(cloakroom_gateway_limiter_store_up{NS})`, "up"},
			query{`max(cloakroom_gateway_limiter_replicas{NS})`, "gateways that share"}, query{`sum(cloakroom_gateway_limiter_store_connections{NS})`, "connections"}),
		graph("Shared limits: calls", "reqps", "", rate("cloakroom_gateway_limiter_store_calls_total", "{NS}", "result"),
			query{`sum(rate(cloakroom_gateway_limiter_share_decisions_total{NS}[$__rate_interval]))`, "decided by the share"}),
		graph("Shared limits: time of a call", "s", "", quantiles("cloakroom_gateway_limiter_store_seconds", "{NS}")...),
		graph("Large buffers", "short", "Of at most 64; answers beyond them are copied through small ones.", query{`max(cloakroom_gateway_large_buffers{NS})`, "out"}),
		graph("API keys remembered", "short", "", query{`max(cloakroom_gateway_api_key_cache_entries{NS})`, "entries"}),
	}}
}

func trustBounds() row {
	return row{"Tokens and revocations", []*panel{
		graph("Verified tokens remembered", "short", "", gauge("cloakroom_token_cache_entries", "service"), query{`sum by (service) (rate(cloakroom_token_cache_evictions_total{NS}[$__rate_interval]))`, "{{service}} evicted a second"}),
		graph("Live revocations", "short", "", gauge("cloakroom_revocation_entries", "service", "kind")),
		graph("Requests a revocation would cut", "short", "", gauge("cloakroom_revocation_bound_requests", "service")),
	}}
}

func filesBounds() row {
	return row{"Files", []*panel{
		graph("Transfers", "short", "", query{`sum by (direction) (cloakroom_files_transfers_in_flight{NS})`, "{{direction}}"}, query{`sum(cloakroom_files_archives_in_flight{NS})`, "archives, at most 16"},
			query{`sum(cloakroom_files_exports_in_flight{NS})`, "exports, at most 4"}),
		graph("Room on the disk", "bytes", "Uploads are refused below what is left to others.", query{`min(cloakroom_files_disk_free_bytes{NS})`, "free"},
			query{`max(cloakroom_files_disk_keep_free_bytes{NS})`, "left to others"}),
		graph("Big buffers", "short", "Of at most 64 for each kind of copy.", gauge("cloakroom_files_big_buffers", "copies")),
		graph("Small files held for their readers", "bytes", "At most 16 MiB; beyond it they are read in pieces.", query{`max(cloakroom_files_packed_read_bytes{NS})`, "bytes"}),
		graph("Requests at work", "short", "", query{`sum(cloakroom_files_keyed_requests_in_flight{NS})`, "with an idempotency key"}, query{`sum(cloakroom_files_resumable_requests_in_flight{NS})`, "on resumable uploads"},
			query{`sum(cloakroom_files_link_downloads_in_flight{NS})`, "downloads by link"}, query{`sum(cloakroom_files_link_passwords_hashing{NS})`, "passwords of links, at most 2"}),
		graph("Thumbnails: memory", "bytes", "", query{`max(cloakroom_files_thumbnail_running_bytes{NS})`, "set aside"}),
		graph("Thumbnails: in line", "short", "", query{`max(cloakroom_files_thumbnail_queued{NS})`, "waiting"}, rate("cloakroom_files_thumbnail_gate_refused_total", "{NS}", "reason")),
		graph("Thumbnails: wait", "s", "", quantiles("cloakroom_files_thumbnail_wait_seconds", "{NS}")...),
		graph("Scans that wait", "short", "For one of scanner.clamd.connections, 4 unless told.", query{`max(cloakroom_files_scans_waiting{NS})`, "waiting"}),
		graph("Verified contents remembered", "short", "", query{`max(cloakroom_files_verified_contents{NS})`, "entries"}),
	}}
}

func bucket() row {
	return row{"Bucket", []*panel{
		graph("Calls", "reqps", "", rate("cloakroom_files_s3_calls_total", "{NS}", "operation", "result")),
		graph("Time of a call (p99)", "s", "", query{
			`histogram_quantile(0.99, sum by (le, operation) (rate(cloakroom_files_s3_call_seconds_bucket{NS}[$__rate_interval])))`, "{{operation}}",
		}),
		graph("Calls under way", "short", "And answers that are still read. 256 connections serve them.", query{`sum(cloakroom_files_s3_calls_in_flight{NS})`, "calls"}),
		graph("Part buffers", "short", "", query{`sum(cloakroom_files_s3_buffers_in_use{NS})`, "in use"}, query{`sum(cloakroom_files_s3_buffers_max{NS})`, "at most"},
			query{`sum(rate(cloakroom_files_s3_buffers_refused_total{NS}[$__rate_interval]))`, "refused a second"}),
		graph("Part buffers taken back", "reqps", "From uploads that were slow while others waited. saved: they go on later.", rate("cloakroom_files_s3_buffers_reclaimed_total", "{NS}", "how")),
		graph("Proofs of written bytes", "reqps", "", rate("cloakroom_files_s3_proofs_total", "{NS}", "by"), query{`min(cloakroom_files_s3_checksums_trusted{NS})`, "1: checksums are trusted"}),
		graph("Reads gone on with", "reqps", "", query{`sum(rate(cloakroom_files_s3_reads_resumed_total{NS}[$__rate_interval]))`, "resumed"}),
	}}
}

func processes() row {
	return row{"Processes", []*panel{
		graph("Resident memory", "bytes", "", ofProcess("process_resident_memory_bytes"), query{`go_gc_gomemlimit_bytes{NS} < 1e15 and on (namespace, job, instance) cloakroom_build_info`, "{{instance}} GOMEMLIMIT"}),
		graph("CPU", "short", "Cores in use.", ofProcess("rate(process_cpu_seconds_total{NS}[$__rate_interval])")),
		graph("Goroutines", "short", "", ofProcess("go_goroutines")),
		graph("File descriptors", "percentunit", "Of those there may be.", ofProcess("process_open_fds{NS} / process_max_fds")),
		graph("Spans", "short", "A second. What ended and was neither sent nor failed to be sent was dropped, or waits for the collector.",
			rate("cloakroom_spans_total", "{NS}", "service", "state")),
		graph("Garbage collection", "s", "Longest pause.", ofProcess(`go_gc_duration_seconds{NS, quantile=~"1(\\.0)?"}`)),
	}}
}

// ofProcess keeps the series of our own processes: Go's metrics are everybody's.
func ofProcess(expr string) query {
	if !containsSelector(expr) {
		expr += "{NS}"
	}
	return query{expr + " and on (namespace, job, instance) cloakroom_build_info", "{{instance}}"}
}

func containsSelector(expr string) bool { return expr[len(expr)-1] == ')' || expr[len(expr)-1] == '}' }
