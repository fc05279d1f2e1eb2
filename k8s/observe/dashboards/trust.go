package dashboards

// trust is sessions, tokens, keys and revocations.
func trust() *dashboard {
	return board("trust", "Sessions and trust", "Who comes in, on which keys, and how fast a logout is heard everywhere.",
		row{"Sessions", []*panel{
			graph("Logins", "reqps", "", rate("cloakroom_auth_logins_total", "{NS}", "result")),
			graph("Refreshes", "reqps", "reused is theft or a client that keeps old tokens.", rate("cloakroom_auth_refreshes_total", "{NS}", "result")),
			graph("Passkeys", "reqps", "", rate("cloakroom_auth_passkeys_total", "{NS}", "result")),
			graph("Sign-ins elsewhere", "reqps", "", rate("cloakroom_auth_provider_sign_ins_total", "{NS}", "provider", "result")),
			graph("Mails", "reqps", "", rate("cloakroom_auth_mails_total", "{NS}", "result")),
			graph("API keys", "reqps", "", rate("cloakroom_gateway_api_keys_total", "{NS}", "result")),
		}},
		row{"Tokens", []*panel{
			graph("Verifications", "reqps", "", rate("cloakroom_token_verifications_total", "{NS}", "service", "result")),
			graph("Verified before", "percentunit", "Share of requests whose token was in the cache.", query{
				`sum by (service) (rate(cloakroom_token_cache_hits_total{NS}[$__rate_interval])) / (sum by (service) (rate(cloakroom_token_cache_hits_total{NS}[$__rate_interval])) + sum by (service) (rate(cloakroom_token_cache_misses_total{NS}[$__rate_interval])))`,
				"{{service}}",
			}),
			graph("Tokens with an unknown key id", "reqps", "", rate("cloakroom_jwks_unknown_kid_total", "{NS}", "service"),
				query{`sum by (service) (rate(cloakroom_jwks_unknown_kid_refused_total{NS}[$__rate_interval]))`, "{{service}} turned away: 256 wait"}),
		}},
		row{"Revocations", []*panel{
			graph("Lag", "s", "Age of what a process knows of the log. From 5 s on it refuses every request.", gauge("cloakroom_revocation_lag_seconds", "service")),
			graph("From commit to a follower's word", "s", "", quantiles("cloakroom_auth_revocation_ack_seconds", "{NS}")...),
			graph("Followers", "short", "Open streams as auth-svc counts them, at most 1024 of each replica, and processes that say they have one.",
				query{`sum(cloakroom_auth_revocation_followers{NS})`, "counted"}, query{`sum by (service) (cloakroom_revocation_stream_up{NS})`, "{{service}}"},
				query{`sum(increase(cloakroom_auth_revocation_followers_refused_total{NS}[$__rate_interval]))`, "refused"}),
			graph("Streams ended", "reqps", "Renewed every ten minutes; anything else is a broken line.", rate("cloakroom_revocation_streams_total", "{NS}", "service", "end")),
			graph("Position", "short", "Every process comes to the same number.", gauge("cloakroom_revocation_head_seq", "service")),
			graph("Acknowledgements", "reqps", "", rate("cloakroom_revocation_acks_total", "{NS}", "service", "result"),
				rate("cloakroom_revocation_entries_received_total", "{NS}", "service")),
			graph("Requests cut by a revocation", "reqps", "", rate("cloakroom_revocation_cut_requests_total", "{NS}", "service")),
		}},
		row{"Keys", []*panel{
			graph("Age of the key set", "s", "Fetched every minute by gateways, every five by files-svc.", gauge("cloakroom_jwks_age_seconds", "service")),
			graph("Fetches", "reqps", "", rate("cloakroom_jwks_fetches_total", "{NS}", "service", "result")),
			graph("Keys", "short", "In use, and ones that can't be used.", gauge("cloakroom_jwks_keys", "service"),
				query{`max by (service) (cloakroom_jwks_skipped_keys{NS})`, "{{service}} skipped"}),
			graph("Age of signing keys", "s", "", gauge("cloakroom_auth_signing_key_age_seconds", "state")),
			graph("Clocks", "s", "How far each process is from Prometheus.", query{
				`max by (instance) (abs(cloakroom_clock_timestamp_seconds{NS} - timestamp(cloakroom_clock_timestamp_seconds{NS})))`, "{{instance}}",
			}),
		}})
}
