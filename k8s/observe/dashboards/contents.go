package dashboards

// contents is files: coming, going, and whole.
func contents() *dashboard {
	return board("files", "Files and integrity", "What comes in, what goes out, and whether it is still what it was.",
		row{"Uploads", []*panel{
			graph("Uploads by end", "reqps", "quota and storage_full are refusals.", rate("cloakroom_files_uploads_total", "{NS}", "result")),
			graph("Bytes received", "Bps", "", query{`sum(rate(cloakroom_files_upload_bytes_total{NS}[$__rate_interval]))`, "received"}),
			graph("Time of an upload", "s", "From its head to its durable commit.", quantiles("cloakroom_files_upload_seconds", "{NS}")...),
			graph("Resumable uploads", "short", "Open ones, as of the reaper's last pass.", query{`max(cloakroom_files_open_uploads{NS})`, "open"}),
			graph("Quota held by open uploads", "bytes", "", query{`max(cloakroom_files_open_upload_reserved_bytes{NS})`, "reserved"}),
			graph("Quota refusals", "percentunit", "Share of uploads.", query{
				`sum(rate(cloakroom_files_uploads_total{NS, result="quota"}[$__rate_interval])) / sum(rate(cloakroom_files_uploads_total{NS}[$__rate_interval]))`, "refused",
			}),
		}},
		row{"Downloads", []*panel{
			graph("Downloads by end", "reqps", "", rate("cloakroom_files_downloads_total", "{NS}", "result")),
			graph("Bytes sent", "Bps", "", query{`sum(rate(cloakroom_files_download_bytes_total{NS}[$__rate_interval]))`, "sent"}),
			graph("Thumbnails", "reqps", "", rate("cloakroom_files_thumbnails_total", "{NS}", "result")),
			graph("Time to make a thumbnail", "s", "", quantiles("cloakroom_files_thumbnail_seconds", "{NS}")...),
		}},
		row{"Integrity", []*panel{
			graph("Flawed files", "short", "corrupt or missing: see CloakroomBlobsDamaged.", gauge("cloakroom_files_flawed_blobs", "flaw")),
			graph("Oldest verification", "s", "FilesConfig.scrub.every is the bound.", query{`max(cloakroom_files_oldest_verification_seconds{NS})`, "oldest"}),
			graph("Scrubbed", "Bps", "", query{`sum(rate(cloakroom_files_scrubbed_bytes_total{NS}[$__rate_interval]))`, "read back"}),
			graph("Scrubbed files by result", "reqps", "", rate("cloakroom_files_scrubbed_blobs_total", "{NS}", "result")),
			graph("Damage found by readers", "short", "", query{`sum(increase(cloakroom_files_corrupt_blobs_total{NS}[$__rate_interval]))`, "found"},
				query{`max(cloakroom_files_suspects_waiting{NS})`, "waiting to be looked at"}),
			graph("Scans for malware", "reqps", "", rate("cloakroom_files_scans_total", "{NS}", "result")),
		}},
		row{"What goes", []*panel{
			graph("Blobs by state", "short", "", gauge("cloakroom_files_blobs", "state")),
			graph("Bytes by state", "bytes", "", gauge("cloakroom_files_blob_bytes", "state")),
			graph("Reaped", "reqps", "", rate("cloakroom_files_reaped_total", "{NS}", "step")),
			graph("Passes of the reaper", "reqps", "", rate("cloakroom_files_reaper_passes_total", "{NS}", "result")),
			graph("Time of a pass", "s", "", quantiles("cloakroom_files_reaper_pass_seconds", "{NS}")...),
			graph("Rows left by uploads", "short", "Beyond the 4096 that wait for the reaper: they wait until their process has ended.",
				query{`sum(increase(cloakroom_files_unlisted_rows_total{NS}[$__rate_interval]))`, "unlisted"}),
			graph("People being erased", "short", "", query{`max(cloakroom_files_erasures_waiting{NS})`, "waiting"},
				rate("cloakroom_files_erasures_total", "{NS}", "result")),
		}},
		row{"Webhooks", []*panel{
			graph("Attempts", "reqps", "", rate("cloakroom_files_webhook_attempts_total", "{NS}", "endpoint", "result")),
			graph("Time of an attempt", "s", "", quantiles("cloakroom_files_webhook_attempt_seconds", "{NS}", "endpoint")...),
			graph("Waiting", "short", "", gauge("cloakroom_files_webhook_pending", "endpoint"), query{`max by (endpoint) (cloakroom_files_webhook_behind{NS})`, "{{endpoint}} behind"},
				query{`max by (endpoint) (cloakroom_files_webhook_parked{NS})`, "{{endpoint}} parked"}),
			graph("Oldest event", "s", "", gauge("cloakroom_files_webhook_oldest_seconds", "endpoint")),
			graph("Not delivered to", "short", "1: the circuit is open, or the endpoint has answered 410.", gauge("cloakroom_files_webhook_circuit_open", "endpoint"),
				query{`max by (endpoint) (cloakroom_files_webhook_stopped{NS})`, "{{endpoint}} stopped"}),
			graph("Given up and lost", "short", "lost is for good.", rate("cloakroom_files_webhook_given_up_total", "{NS}", "endpoint"),
				query{`sum by (endpoint) (increase(cloakroom_files_webhook_lost_total{NS}[$__rate_interval]))`, "{{endpoint}} lost"}),
		}})
}
