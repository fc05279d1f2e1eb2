package alerts

// integrity alerts on what is kept: bytes, room for more of them, and what must go.
func integrity() Group {
	return Group{Name: "cloakroom-files", Rules: []Rule{
		alert("CloakroomBlobsDamaged", page, "", `max by (namespace, flaw) (cloakroom_files_flawed_blobs{flaw=~"corrupt|missing"}) > 0`,
			"{{ $value }} stored files are {{ $labels.flaw }}."),
		alert("CloakroomScrubBehind", ticket, "1h", `max by (namespace) (cloakroom_files_oldest_verification_seconds) > <scrubAgeSeconds>`,
			"Some stored bytes were last verified {{ $value | humanizeDuration }} ago."),
		alert("CloakroomReaperFailing", ticket, "30m",
			`sum by (namespace) (rate(cloakroom_files_reaper_passes_total{result="error"}[30m])) > 0
unless
sum by (namespace) (rate(cloakroom_files_reaper_passes_total{result="ok"}[30m])) > 0`,
			"The reaper fails: what was deleted keeps its space."),
		alert("CloakroomErasuresWaiting", ticket, "<erasureWaitSeconds>s", `min by (namespace) (cloakroom_files_erasures_waiting) > 0`,
			"The files of {{ $value }} deleted people are still there."),
		alert("CloakroomQuotaRefusals", ticket, "30m",
			`sum by (namespace) (rate(cloakroom_files_uploads_total{result="quota"}[15m]))
/
sum by (namespace) (rate(cloakroom_files_uploads_total[15m])) > <quotaRefusalRatio>`,
			"{{ $value | humanizePercentage }} of uploads are refused for want of quota."),
		alert("CloakroomStorageFull", page, "", `sum by (namespace) (increase(cloakroom_files_uploads_total{result="storage_full"}[10m])) > 0`,
			"Uploads are refused because there is no room left."),
		alert("CloakroomWebhookLost", page, "", `sum by (namespace, endpoint) (increase(cloakroom_files_webhook_lost_total[1h])) > 0`,
			"Webhook {{ $labels.endpoint }} will never hear of {{ $value | humanize }} events."),
		alert("CloakroomWebhookFailing", ticket, "30m",
			`max by (namespace, endpoint) (cloakroom_files_webhook_circuit_open) > 0 or max by (namespace, endpoint) (cloakroom_files_webhook_stopped) > 0`,
			"Webhook {{ $labels.endpoint }} is not delivered to."),
	}}
}
